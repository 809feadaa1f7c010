//! Under which keys is evidence hidden, and how does a new key take over? (rules §3.2)
//!
//! What is kept of evidence is HMAC-SHA-256 under a key that lies outside the database. A newer key wraps: its hash is that of the
//! older key's hash, so rows come under it without what they say, and somebody who has an old key and a new database has nothing.
//! Until all rows are wrapped, what comes is compared under each key that a row is still under.

use crate::app::App;
use crate::denied::Denied;
use crate::mint::{digest, hex};
use crate::serve::ServeError;
use crate::unit::{Outcome, Unit};
use ebb_store::rows::{alarm, person};
use ebb_store::{Decision, failpoint};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

const SHORTEST_KEY: usize = 32;
/// So many rows come under a new key in one unit of work.
const PAGE: i64 = 200;

/// The keys of an installation. Number 1 is the oldest; none is ever given up, since each wraps what those before it made.
pub struct Keys {
    oldest_first: Mutex<Vec<String>>,
    home: Home,
    /// One rotation at a time.
    rotating: tokio::sync::Mutex<()>,
}

/// Where keys come from, and where a new one goes.
enum Home {
    /// One key a line, the newest first.
    File(PathBuf),
    /// A sandbox throws them like its other dice.
    Seed(u64),
}

impl Keys {
    /// Reads the keys from a file, or makes one in it that only this user can read.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds something else.
    pub fn in_file(file: &Path) -> Result<Self, ServeError> {
        let broken = |why: String| ServeError::Setup(format!("the evidence keys in {}: {why}", file.display()));
        let text = match std::fs::read_to_string(file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let text = format!("{}\n", new_key());
                write_private(file, &text).map_err(|error| broken(error.to_string()))?;
                text
            }
            read => read.map_err(|error| broken(error.to_string()))?,
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let oldest_first: Vec<String> = lines.rev().map(str::to_owned).collect();
        if oldest_first.is_empty() || oldest_first.iter().any(|key| key.len() < SHORTEST_KEY) {
            return Err(broken(format!("a key is a line of {SHORTEST_KEY} characters or more, the newest on top")));
        }
        Ok(Self::new(oldest_first, Home::File(file.to_owned())))
    }

    /// Those of a sandbox.
    pub fn of_seed(seed: u64) -> Self {
        Self::new(vec![thrown(seed, 1)], Home::Seed(seed))
    }

    fn new(oldest_first: Vec<String>, home: Home) -> Self {
        Self { oldest_first: Mutex::new(oldest_first), home, rotating: Default::default() }
    }

    fn all(&self) -> Vec<String> {
        self.oldest_first.lock().expect("no panic while holding it").clone()
    }

    /// The hashes of a text under the keys `oldest` to `newest`. `None`: one of them is not at hand.
    pub fn hashes(&self, text: &str, oldest: i64, newest: i64) -> Option<Vec<String>> {
        let keys = self.all();
        let used = keys.get(..usize::try_from(newest).ok()?)?;
        let mut hash = text.to_owned();
        let chain = used.iter().map(|key| {
            hash = mac(key, &hash);
            hash.clone()
        });
        Some(chain.skip(usize::try_from(oldest - 1).ok()?).collect())
    }

    /// What is kept of a message that holds evidence, to know it again. The oldest key is never given up.
    pub fn digest(&self, message: &[u8]) -> String {
        mac(self.all().first().expect("at least one key"), &digest(message))
    }

    /// What a hash under key `from` is under key `to`.
    fn wrap(&self, hash: &str, from: i64, to: i64) -> Option<String> {
        let keys = self.all();
        let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
        Some(keys.get(from..to)?.iter().fold(hash.to_owned(), |hash, key| mac(key, &hash)))
    }

    /// Puts a new key where it stays, durably, and gives back how many there are.
    fn add(&self) -> std::io::Result<i64> {
        let mut keys = self.all();
        match &self.home {
            Home::Seed(seed) => keys.push(thrown(*seed, keys.len() + 1)),
            Home::File(file) => {
                keys.push(new_key());
                let text: String = keys.iter().rev().map(|key| format!("{key}\n")).collect();
                failpoint("effect.evidence-key.before");
                replace_private(file, &text)?;
                failpoint("effect.evidence-key.after");
            }
        }
        let count = keys.len();
        *self.oldest_first.lock().expect("no panic while holding it") = keys;
        Ok(i64::try_from(count).expect("a few keys"))
    }
}

fn mac(key: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// Tells keys apart, and tells nothing about them.
fn fingerprint(key: &str) -> String {
    mac(key, "which evidence key is this?")[..16].to_owned()
}

fn thrown(seed: u64, number: usize) -> String {
    digest(format!("evidence key {number} of a sandbox with seed {seed}").as_bytes())
}

fn new_key() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    made.write_all(text.as_bytes())?;
    made.sync_all()
}

/// Another process, or a crash, finds the old text or the new one.
fn replace_private(file: &Path, text: &str) -> std::io::Result<()> {
    let new = file.with_extension("new");
    // What a crash left is in nobody's use.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => write_private(&new, text)?,
    }
    std::fs::rename(&new, file)?;
    std::fs::File::open(file.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new(".")))?.sync_all()
}

/// The alarm under which rows come under the newest key.
pub const ALARM: &str = "wrap-evidence";

impl App {
    /// Makes the database's list of keys the one that is at hand; a key that is new here takes over.
    pub async fn settle_evidence_keys(&self) -> Result<(), ServeError> {
        if let Home::Seed(_) = self.evidence.home {
            let known = self.store.rows(person::keys()).await?.len();
            while self.evidence.all().len() < known {
                self.evidence.add().expect("keys that are thrown, not written");
            }
        }
        let missing = self.unit("evidence-keys", "persons", |mut unit| async move {
            let rows = unit.reads.rows(person::keys()).await?;
            let mut known: Vec<person::Key> = rows.iter().map(person::read_key).collect();
            let here: Vec<String> = unit.app.evidence.all().iter().map(|key| fingerprint(key)).collect();
            if let Some(missing) = known.iter().find(|key| here.get(key.number as usize - 1) != Some(&key.fingerprint))
            {
                if unit.reads.row(person::oldest_in_use()).await?.is_some() {
                    return Ok(Decision::unchanged(Some((missing.number, missing.fingerprint.clone()))));
                }
                // Nothing was hashed under them yet.
                unit.write(person::forget_keys());
                known.clear();
            }
            if let Some(newest) = known.last().filter(|_| here.len() > known.len()) {
                unit.guard(person::take_turn(newest));
            }
            for (at, fingerprint) in here.iter().enumerate().skip(known.len()) {
                unit.write(person::insert_key(at as i64 + 1, fingerprint, unit.now));
            }
            if here.len() > known.len() {
                unit.write(alarm::set(ALARM, "", unit.now));
            }
            Ok(unit.done(None))
        });
        match missing.await.map_err(|error| ServeError::Setup(error.to_string()))? {
            None => Ok(()),
            Some((number, fingerprint)) => Err(ServeError::Setup(match &self.evidence.home {
                Home::Seed(_) => {
                    "this sandbox was kept under another seed; start it with the --seed that it was made with"
                        .to_owned()
                }
                Home::File(file) => format!(
                    "the evidence keys in {}: number {number} from the bottom is not the one with the fingerprint {fingerprint}, \
                     under which this database hashed; put the file back as it was, from its backup, with newer keys above and none \
                     left out",
                    file.display()
                ),
            })),
        }
    }

    /// Makes a new key. What is under older ones comes under it page by page.
    pub async fn rotate_evidence_key(&self) -> Result<(), Denied> {
        let _turn = self.evidence.rotating.lock().await;
        let here = self.evidence.all().len();
        let known = self.store.rows(person::keys()).await?.len();
        if here == known {
            // On disk first: no row may be under a key that could be lost.
            let added = tokio::task::spawn_blocking({
                let app = self.clone();
                move || app.evidence.add()
            });
            added.await.map_err(|_| Denied::Internal)?.map_err(|error| {
                Denied::Conflict(format!(
                    "the file of the evidence keys cannot be replaced: {error}; nothing was changed"
                ))
            })?;
        }
        self.settle_evidence_keys().await.map_err(|error| Denied::Conflict(error.to_string()))
    }

    /// Brings a page of rows under the newest key; the alarm rings again while there are more.
    pub async fn wrap_evidence(&self) -> Result<(), Denied> {
        Ok(self.unit("wrap-evidence", "persons", wrap_page).await?)
    }
}

async fn wrap_page(mut unit: Unit) -> Outcome<Decision<()>> {
    let newest = newest_key(&unit).await?.number;
    let rows = unit.reads.rows(person::under_older_keys(newest, PAGE)).await?;
    for before in rows.iter().map(person::read_evidence) {
        let wrapped = unit.app.evidence.wrap(&before.hash, before.key_number, newest);
        let wrapped = wrapped.ok_or(Denied::Internal)?;
        unit.guard(person::wrap(&before, &wrapped, newest));
    }
    match rows.is_empty() {
        true => unit.write(alarm::clear(ALARM, "")),
        // A moment later, so that what else is due is not kept waiting.
        false => unit.write(alarm::set(ALARM, "", unit.now.plus_millis(1))),
    }
    Ok(unit.done(()))
}

/// The key under which evidence is hashed now.
pub async fn newest_key(unit: &Unit) -> Outcome<person::Key> {
    let rows = unit.reads.rows(person::keys()).await?;
    Ok(rows.last().map(person::read_key).expect("a service registers its keys when it starts"))
}
