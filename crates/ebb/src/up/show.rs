//! What is the main job, shown once with real guests?

use super::own;
use crate::client::Client;
use crate::failure::Failure;
use crate::profile::Login;
use crate::session::print;
use ebb_model::time::Timestamp;
use ebb_wire::account::{Account, AddKeyPair, KeyPair, LoggedEvent, OpenAccount, OpenedAccount, TopUp, Trial, Verify};
use ebb_wire::bill::Bill;
use ebb_wire::instance::{Buy, ConsoleLog, Instance};
use ebb_wire::problem::Page;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const USER_DATA: &str = "#!/bin/sh
echo \"hello from $(hostname): this is my user-data\"
mkdir /tmp/www && echo \"hello from $(hostname)\" >/tmp/www/index.html && httpd -h /tmp/www
";
const PATIENCE: Duration = Duration::from_secs(120);

/// A tenant of the demo.
struct Tenant {
    name: &'static str,
    client: Client,
    key: String,
    private_key: PathBuf,
}

struct Show<'a> {
    operator: &'a Client,
    started: Instant,
}

/// Shows the main job, unless guests of an earlier run are there; then says how to go on.
pub async fn show(operator: &Client, data: &Path, quiet: bool) -> Result<(), Failure> {
    let show = Show { operator, started: Instant::now() };
    let before = super::live(operator).await?;
    let ada = show.tenant(data, "ada", "Ada", "individual").await?;
    let lab = show.tenant(data, "lab", "Lab", "enterprise").await?;
    let running = if !before.is_empty() {
        show.say(&format!("{} guests of an earlier run were taken up again:", before.len()))?;
        for guest in &before {
            print(&format!("           {} {} ({}, {})\n", guest.id, guest.name, guest.option, guest.state))?;
        }
        before
    } else if quiet {
        vec![]
    } else {
        show.main_job(&ada, &lab).await?
    };
    show.epilogue(data, &[ada, lab], &running)
}

impl Show<'_> {
    async fn main_job(&self, ada: &Tenant, lab: &Tenant) -> Result<Vec<Instance>, Failure> {
        self.say("Ada, an individual, claims the free trial and starts a trial instance.")?;
        match ada.client.ask::<Trial>("/v1/trial").await {
            Ok(trial) => self.detail(&format!(
                "grant {} CNY, at most {} an hour, until {}",
                trial.issued, trial.hourly_cap, trial.valid_until
            ))?,
            // An earlier demo of this installation claimed it.
            Err(Failure::Refused(problem)) if problem.code == "trial-already-claimed" => {}
            Err(failure) => return Err(failure),
        }
        let trial = self.buy(ada, "trial", "t6.small.1", "ada-trial", None).await?;
        self.say("Lab, an enterprise, buys a spot block of 3 hours.")?;
        let block = self.buy(lab, "spot-block", "c6.large.2", "lab-block", Some(3)).await?;
        for (tenant, guest) in [(ada, &trial), (lab, &block)] {
            self.console(tenant, guest, "ebb-guest: metadata").await?;
            self.console(tenant, guest, "this is my user-data").await?;
            self.console(tenant, guest, "ebb-guest: ready").await?;
        }
        self.say("Both run, and are charged by the second (not settled before the hour, or the block's end):")?;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let lab_bill: Bill = lab.client.get("/v1/bills", &[]).await?;
            let ada_bill: Bill = ada.client.get("/v1/bills", &[]).await?;
            let (l, a) = (lab_bill.accruing_total, ada_bill.accruing_total);
            self.detail(&format!("Lab {} payable; Ada {} from the grant, {} payable", l.payable, a.grant, a.payable))?;
        }

        self.say("Ada buys on demand. The machine is full, so the operator takes the block's room back.")?;
        let firm = self.buy_reachable(ada, "c6.large.2", "ada-firm").await?;
        let taken = self.see(lab, &block.id).await?;
        if let Some(notice) = &taken.interruption {
            let (at, deadline) = (notice.notice_at.as_deref(), notice.deadline.as_deref());
            self.detail(&format!("notice {}, release {}", at.unwrap_or("?"), deadline.unwrap_or("?")))?;
        }
        self.console(lab, &block, "ebb-guest: interruption").await?;
        let gone = self.until(lab, &block, "released").await?;
        self.lateness(lab, &gone, &taken).await?;
        self.until(ada, &firm, "running").await?;
        self.console(ada, &firm, "ebb-guest: ready").await?;

        self.say("Lab's bill. The guarantee was broken, so the period is free; the disk is not part of it.")?;
        self.bill(lab).await?;
        self.say("Ada's bill so far: nothing is settled before the clock hour closes.")?;
        self.bill(ada).await?;
        let trial_left: Trial = ada.client.get("/v1/trial", &[]).await?;
        self.detail(&format!(
            "grant: {} settled, {} accruing, {} left",
            trial_left.settled, trial_left.accruing, trial_left.left
        ))?;
        Ok(vec![self.see(ada, &trial.id).await?, self.see(ada, &firm.id).await?])
    }

    /// How long after its deadline the block was gone.
    async fn lateness(&self, tenant: &Tenant, gone: &Instance, taken: &Instance) -> Result<(), Failure> {
        let events: Page<LoggedEvent> = tenant.client.all("/v1/events", &[]).await?;
        let mut mine = events.items.iter().filter(|event| event.instance.as_ref() == Some(&gone.id));
        let released = mine.rfind(|event| event.body["event"] == "released");
        let at = released.and_then(|event| event.body["gone_at"].as_str()?.parse::<Timestamp>().ok());
        let deadline = taken.interruption.as_ref().and_then(|notice| notice.deadline.as_ref()?.parse().ok());
        let (Some(at), Some(deadline)) = (at, deadline) else { return Ok(()) };
        let read = gone.interruption.as_ref().and_then(|notice| notice.read_at.clone());
        let late = Timestamp::millis_since(at, deadline);
        self.detail(&format!("the guest read the notice at {}", read.as_deref().unwrap_or("?")))?;
        self.detail(&format!(
            "released {late} ms after the notice's end ({})",
            gone.end_cause.as_deref().unwrap_or("?")
        ))
    }

    async fn buy(
        &self,
        tenant: &Tenant,
        option: &str,
        flavor: &str,
        name: &str,
        hours: Option<i64>,
    ) -> Result<Instance, Failure> {
        self.bought(tenant, &self.order(option, flavor, name, hours)).await
    }

    fn order(&self, option: &str, flavor: &str, name: &str, hours: Option<i64>) -> Buy {
        Buy {
            option: option.to_owned(),
            zone: "here-a".to_owned(),
            flavor: flavor.to_owned(),
            hours,
            name: Some(name.to_owned()),
            key_pair: Some("demo".to_owned()),
            user_data: Some(USER_DATA.to_owned()),
            ..Buy::default()
        }
    }

    async fn bought(&self, tenant: &Tenant, buy: &Buy) -> Result<Instance, Failure> {
        let bought: Instance = tenant.client.post("/v1/instances", buy).await?;
        self.detail(&format!("{} {} {}: {}", bought.id, buy.option, buy.flavor, bought.state))?;
        Ok(bought)
    }

    /// On demand, with a public address if this machine has a way to it.
    async fn buy_reachable(&self, tenant: &Tenant, flavor: &str, name: &str) -> Result<Instance, Failure> {
        let buy = Buy { public_ip: true, ..self.order("on-demand", flavor, name, None) };
        match self.bought(tenant, &buy).await {
            Err(Failure::Refused(problem)) if problem.code == "traffic-not-metered" => {
                self.bought(tenant, &Buy { public_ip: false, ..buy }).await
            }
            bought => bought,
        }
    }

    async fn see(&self, tenant: &Tenant, id: &str) -> Result<Instance, Failure> {
        tenant.client.get(&format!("/v1/instances/{id}"), &[]).await
    }

    async fn until(&self, tenant: &Tenant, instance: &Instance, state: &str) -> Result<Instance, Failure> {
        let started = Instant::now();
        loop {
            let now = self.see(tenant, &instance.id).await?;
            if now.state == state {
                self.detail(&format!("{} is {state}", now.name))?;
                return Ok(now);
            }
            if now.state == "released" || started.elapsed() > PATIENCE {
                return Err(Failure::Outcome(format!("{} is {} instead of {state}", now.id, now.state)));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a line of the guest's own console has this in it, and shows the line.
    async fn console(&self, tenant: &Tenant, instance: &Instance, wanted: &str) -> Result<(), Failure> {
        let started = Instant::now();
        loop {
            let path = format!("/v1/instances/{}/console-log", instance.id);
            let log: Result<ConsoleLog, Failure> = tenant.client.get(&path, &[]).await;
            let text = log.map_or_else(|_| String::new(), |log| log.text);
            if let Some(line) = text.lines().find(|line| line.contains(wanted)) {
                return self.detail(&format!("console of {}: {}", instance.name, line.trim()));
            }
            if started.elapsed() > PATIENCE {
                return Err(Failure::Outcome(format!("{}: `{wanted}` is not on its console", instance.id)));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn bill(&self, tenant: &Tenant) -> Result<(), Failure> {
        let bill: Bill = tenant.client.get("/v1/bills", &[]).await?;
        print(&crate::money::bill_text(&bill))
    }

    /// The tenant as it was left, or a new one with an account, a key, a key pair and some money.
    async fn tenant(&self, data: &Path, id: &str, name: &'static str, holder: &str) -> Result<Tenant, Failure> {
        let private_key = own(data).join(format!("{id}_ed25519"));
        let secret = own(data).join(format!("{id}.key"));
        let login = |key: &str| Login { key: key.to_owned(), ..self.operator.login().clone() };
        if let Ok(key) = std::fs::read_to_string(&secret) {
            let client = Client::new(login(key.trim()), None)?;
            if client.get::<serde_json::Value>("/v1/whoami", &[]).await.is_ok() {
                return Ok(Tenant { name, client, key: key.trim().to_owned(), private_key });
            }
        }
        let body = OpenAccount { name: name.to_owned(), evidence: vec![] };
        let opened: OpenedAccount = self.operator.post("/v1/accounts", &body).await?;
        let account = opened.account.id;
        let verify = Verify { holder: holder.to_owned() };
        let _: Account = self.operator.post(&format!("/v1/accounts/{account}/verification"), &verify).await?;
        let top_up = TopUp { amount: "100".to_owned() };
        let path = format!("/v1/accounts/{account}/top-ups");
        let _: serde_json::Value = self.operator.post(&path, &top_up).await?;
        let client = Client::new(login(&opened.key.secret), None)?;
        let public_key = new_key_pair(&private_key, id)?;
        let pair = AddKeyPair { name: "demo".to_owned(), public_key };
        let _: KeyPair = client.post("/v1/key-pairs", &pair).await?;
        private_file(&secret, &opened.key.secret)?;
        Ok(Tenant { name, client, key: opened.key.secret, private_key })
    }

    fn epilogue(&self, data: &Path, tenants: &[Tenant], running: &[Instance]) -> Result<(), Failure> {
        let login = self.operator.login();
        let endpoint = &login.endpoint;
        let keys = std::iter::once(("operator".to_owned(), login.key.as_str()))
            .chain(tenants.iter().map(|tenant| (tenant.name.to_lowercase(), tenant.key.as_str())));
        let profile = |(name, key): (String, &str)| format!("[{name}]\nendpoint = \"{endpoint}\"\nkey = \"{key}\"\n");
        let profiles = own(data).join("profiles.toml");
        private_file(&profiles, &keys.map(profile).collect::<Vec<_>>().join("\n"))?;

        let mut text = format!("\nEbb is up at {endpoint}, its API is described at {endpoint}/docs\n");
        text.push_str(&format!("  operator  {}\n", login.key));
        for tenant in tenants {
            text.push_str(&format!(
                "  {:<9} {}  (ssh key {})\n",
                tenant.name,
                tenant.key,
                tenant.private_key.display()
            ));
        }
        let first = running.iter().find(|i| i.state == "running");
        let id = first.map_or("ID", |i| i.id.as_str());
        let ebb = data.join("bin/ebb");
        let (ebb, profiles) = (ebb.display(), profiles.display());
        let key = tenants[0].private_key.display();
        text.push_str(&format!(
            "\nTry next, in another terminal:\n  export EBB_CONFIG={profiles} PATH=\"{}:$PATH\"\n  ebb --as ada bill\n  ebb --as ada ssh {id} -i {key}\n  ebb --as ada console {id}\n",
            data.join("bin").display(),
        ));
        if let Some(public) = running.iter().find_map(|i| i.public_addresses.first()?.ip.as_ref()) {
            let open = "ebb --as ada security-groups allow default --tcp 80";
            text.push_str(&format!("  {open} && curl http://{public}/\n"));
        }
        if first.is_some() {
            text.push_str("  ebb --as ada disks create 1 --name data\n");
            text.push_str(&format!("  ebb --as ada disks attach data {id}\n"));
        }
        text.push_str(&format!("\nCtrl-C ends this; the guests run on. ({ebb} is the program that runs.)\n"));
        print(&text)
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        print(&format!("[{:5.1} s] {text}\n", self.started.elapsed().as_secs_f32()))
    }

    fn detail(&self, text: &str) -> Result<(), Failure> {
        print(&format!("[{:5.1} s]   {text}\n", self.started.elapsed().as_secs_f32()))
    }
}

/// Makes an SSH key pair with the system's own tool; gives back the public half.
fn new_key_pair(private: &Path, comment: &str) -> Result<String, Failure> {
    let public = private.with_extension("pub");
    for old in [private, &public] {
        let _ = std::fs::remove_file(old);
    }
    let mut command = std::process::Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(private);
    let status = command.status().map_err(Failure::io("ssh-keygen (package openssh-client)"))?;
    if !status.success() {
        return Err(Failure::Outcome(format!("ssh-keygen could not write {}", private.display())));
    }
    std::fs::read_to_string(&public).map_err(Failure::io(public.display().to_string()))
}

fn private_file(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(Failure::io(path.display().to_string()))
}
