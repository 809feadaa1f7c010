//! How does an operator say where webhooks may go and how mails leave?

use crate::failure::Failure;
use clap::Args;
use ebb_server::{DeliveryConfig, Network, SmtpConfig};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(next_help_heading = "Notifications")]
pub struct DeliveryArgs {
    /// A network that webhooks may be in beside the public internet, such as 192.168.7.0/24; may be given several times
    #[arg(long = "allow-network", value_name = "NETWORK", value_parser = network)]
    networks: Vec<Network>,
    /// Certificate authorities to trust beside this machine's, in PEM
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Where mails leave: smtps://USER@HOST, smtp://USER@HOST:587 (STARTTLS) or smtp-plain://HOST:25 (no encryption)
    #[arg(long, value_name = "URL", requires = "mail_from")]
    smtp: Option<String>,
    /// The sender of mails, such as `Ebb <ebb@example.com>`
    #[arg(long, value_name = "ADDRESS", requires = "smtp")]
    mail_from: Option<String>,
    /// A file whose first line is the SMTP user's password; else it is in EBB_SMTP_PASSWORD
    #[arg(long, value_name = "FILE", requires = "smtp")]
    smtp_password: Option<PathBuf>,
    /// Where customers reach this API, such as https://ebb.example.com: mails name it for whoever wants no more of them
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

impl DeliveryArgs {
    /// `keys`: one a line, the newest first.
    pub fn config(self, keys: Option<String>) -> Result<DeliveryConfig, Failure> {
        let trust = self.trust.map(|file| {
            std::fs::read(&file).map_err(Failure::io(format!("the certificate authorities in {}", file.display())))
        });
        let password = match self.smtp_password {
            Some(file) => {
                let text = std::fs::read_to_string(&file);
                let text = text.map_err(Failure::io(format!("the SMTP password in {}", file.display())))?;
                Some(text.lines().next().unwrap_or_default().to_owned())
            }
            None => std::env::var("EBB_SMTP_PASSWORD").ok().filter(|_| self.smtp.is_some()),
        };
        let smtp = self.smtp.zip(self.mail_from).map(|(url, from)| SmtpConfig { url, password, from });
        let (networks, public_url) = (self.networks, self.public_url);
        Ok(DeliveryConfig { keys, networks, trust: trust.transpose()?, smtp, public_url })
    }
}

fn network(text: &str) -> Result<Network, String> {
    text.parse()
}
