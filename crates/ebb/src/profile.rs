//! Which server is meant, and whose key is shown to it? Flags, then `--as`, then the environment, then the profiles' file.

use crate::failure::Failure;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The server's address [env: EBB_ENDPOINT]
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The API key to show [env: EBB_KEY]
    #[arg(long, global = true, value_name = "KEY")]
    pub key: Option<String>,
    /// A profile of profiles.toml: an endpoint and a key under a name [env: EBB_PROFILE]
    #[arg(long = "as", global = true, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// For the operator: look at this account (id, start of an id, or name)
    #[arg(long, global = true, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Print the API's JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
}

/// Where to go and who to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    pub endpoint: String,
    pub key: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    endpoint: Option<String>,
    key: Option<String>,
}

type Profiles = BTreeMap<String, Profile>;

impl Global {
    /// Finds the endpoint and the key that these options, the environment and the profiles' file amount to.
    ///
    /// # Errors
    /// Something is missing or the file cannot be used; the sentence says what to write where.
    pub fn login(&self) -> Result<Login, Failure> {
        let path = file();
        let profiles = read(&path)?;
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let named = |name: &str| find(&profiles, name, &path);

        let chosen = self.profile.as_deref().map(named).transpose()?.unwrap_or_default();
        let from_variables = Profile { endpoint: variable("EBB_ENDPOINT"), key: variable("EBB_KEY") };
        let fallback = match (&self.profile, variable("EBB_PROFILE")) {
            (Some(_), _) => Profile::default(),
            (None, Some(name)) => named(&name)?,
            (None, None) => only(&profiles).unwrap_or_default(),
        };
        let layers =
            [Profile { endpoint: self.endpoint.clone(), key: self.key.clone() }, chosen, from_variables, fallback];
        let endpoint = layers.iter().find_map(|layer| layer.endpoint.clone());
        let key = layers.iter().find_map(|layer| layer.key.clone());
        match (endpoint, key) {
            (Some(endpoint), Some(key)) => Ok(Login { endpoint, key }),
            (None, _) => Err(missing("server", "--endpoint http://127.0.0.1:7070 or EBB_ENDPOINT", &profiles, &path)),
            (_, None) => Err(missing("key", "--key KEY or EBB_KEY", &profiles, &path)),
        }
    }
}

/// The profiles' file: `$EBB_CONFIG`, or `profiles.toml` in the user's configuration.
pub fn file() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("EBB_CONFIG").unwrap_or_else(|| {
        let base = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
        base.unwrap_or_default().join("ebb/profiles.toml")
    })
}

fn read(path: &Path) -> Result<Profiles, Failure> {
    use std::os::unix::fs::PermissionsExt;
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Profiles::new()),
        Err(error) => return Err(Failure::io(format!("the profiles in {}", path.display()))(error)),
    };
    let mode = path.metadata().map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 != 0 {
        let name = path.display();
        return Err(Failure::Usage(format!("{name} holds keys and others may read it: chmod 600 {name}")));
    }
    toml::from_str(&text).map_err(|error| {
        let shape = "[ada]\nendpoint = \"http://127.0.0.1:7070\"\nkey = \"…\"";
        Failure::Usage(format!("{} is not understood: {}\nIt looks like\n{shape}", path.display(), error.message()))
    })
}

fn find(profiles: &Profiles, name: &str, path: &Path) -> Result<Profile, Failure> {
    profiles.get(name).cloned().ok_or_else(|| {
        Failure::Usage(format!("there is no profile `{name}` in {}; {}", path.display(), those(profiles)))
    })
}

/// A file with one profile needs no choice.
fn only(profiles: &Profiles) -> Option<Profile> {
    profiles.values().next().filter(|_| profiles.len() == 1).cloned()
}

fn missing(what: &str, way: &str, profiles: &Profiles, path: &Path) -> Failure {
    let profile = match profiles.len() {
        0 => format!("write a profile into {}", path.display()),
        _ => format!("choose a profile with --as NAME or EBB_PROFILE ({})", those(profiles)),
    };
    Failure::Usage(format!("which {what}? Give {way}, or {profile}"))
}

fn those(profiles: &Profiles) -> String {
    match profiles.keys().map(String::as_str).collect::<Vec<_>>() {
        names if names.is_empty() => "it has none".to_owned(),
        names => format!("it has {}", names.join(", ")),
    }
}
