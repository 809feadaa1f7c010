//! Which rows hold who is one person, and what shows it?

use super::own;
use crate::{Query, Row, args, query};
use ebb_model::id::{AccountId, EvidenceId};
use ebb_model::person::Source;
use ebb_model::time::{Second, Timestamp};
use ebb_model::trial::Holder;

/// All accounts of one real user, called by one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    pub id: AccountId,
    pub size: i64,
    /// As whom one of its accounts claimed a trial, if one did.
    pub claimed_as: Option<Holder>,
    pub generation: i64,
}

pub fn by_id(id: AccountId) -> Query {
    query("select * from person where id = $1", args![id.to_string()])
}

pub fn read(row: &Row) -> Person {
    Person {
        id: own(row.text("id")),
        size: row.int("size"),
        claimed_as: row.opt_text("claimed_as").map(super::account::holder),
        generation: row.int("generation"),
    }
}

/// Guard: nobody made this person meanwhile.
pub fn insert(person: &Person) -> Query {
    query(
        "insert into person (id, size, claimed_as, generation) values ($1, $2, $3, 1) on conflict (id) do nothing",
        args![person.id.to_string(), person.size, person.claimed_as.map(Holder::name)],
    )
}

/// Guard: writes the person as it is now, if nobody changed it since it was read.
pub fn change(person: &Person) -> Query {
    query(
        "update person set size = $3, claimed_as = $4, generation = generation + 1 where id = $1 and generation = $2",
        args![person.id.to_string(), person.generation, person.size, person.claimed_as.map(Holder::name)],
    )
}

/// Guard: the person went into another, and nobody changed it since it was read.
pub fn delete(person: &Person) -> Query {
    query("delete from person where id = $1 and generation = $2", args![person.id.to_string(), person.generation])
}

/// All accounts of `from` become `into`'s.
pub fn relabel(from: AccountId, into: AccountId) -> Query {
    query("update account set person = $2 where person = $1", args![from.to_string(), into.to_string()])
}

pub fn label(account: AccountId, into: AccountId) -> Query {
    query("update account set person = $2 where id = $1", args![account.to_string(), into.to_string()])
}

/// Guard: an account that was nobody else's becomes `into`'s; who claims with it meanwhile decides anew.
pub fn label_alone(account: AccountId, generation: i64, into: AccountId) -> Query {
    query(
        "update account set person = $3, generation = generation + 1 where id = $1 and generation = $2",
        args![account.to_string(), generation, into.to_string()],
    )
}

pub fn members(person: AccountId) -> Query {
    query("select id from account where person = $1", args![person.to_string()])
}

/// A page of a person's accounts, by id.
pub fn accounts(person: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select * from account where person = $1 and id > $2 order by id limit $3",
        args![person.to_string(), after, limit],
    )
}

/// Another account of the person that ran an instance, if there is one.
pub fn another_ran(person: AccountId, than: AccountId) -> Query {
    query(
        "select id from account where person = $1 and ran = 1 and person is not null and id <> $2 limit 1",
        args![person.to_string(), than.to_string()],
    )
}

/// An order of the account that did not run yet and may; those under its trial needed a claim themselves.
pub fn order_under_way(account: AccountId) -> Query {
    query(
        "select id from instance where account_id = $1 and live = 1 and first_running is null \
         and state not like '{\"state\":\"releasing\"%' and purchase not like '%\"trial\"%' limit 1",
        args![account.to_string()],
    )
}

/// The same of another account of the person. Looks through all orders that did not run yet, of which there are few, and not through
/// the accounts.
pub fn another_order_under_way(person: AccountId, than: AccountId) -> Query {
    query(
        "select i.id from instance i cross join account a where i.live = 1 and i.first_running is null \
         and i.state not like '{\"state\":\"releasing\"%' and i.purchase not like '%\"trial\"%' \
         and a.id = i.account_id and a.person = $1 and a.id <> $2 limit 1",
        args![person.to_string(), than.to_string()],
    )
}

/// An instance of the account that first ran after this second.
pub fn ran_since(account: AccountId, at: Second) -> Query {
    query(
        "select id from instance where account_id = $1 and first_running > $2 limit 1",
        args![account.to_string(), at.unix()],
    )
}

/// The same of another account of the person. Looks through all of its accounts that ran.
pub fn another_ran_since(person: AccountId, than: AccountId, at: Second) -> Query {
    query(
        "select i.id from account a join instance i on i.account_id = a.id where a.person = $1 and a.ran = 1 \
         and a.id <> $2 and i.first_running > $3 limit 1",
        args![person.to_string(), than.to_string(), at.unix()],
    )
}

/// Another account of the person that claimed after this second. Looks through all of its accounts.
pub fn another_claimed_since(person: AccountId, than: AccountId, at: Second) -> Query {
    query(
        "select a.id from account a join trial_grant g on g.account_id = a.id where a.person = $1 and a.id <> $2 \
         and g.claimed_at > $3 limit 1",
        args![person.to_string(), than.to_string(), at.unix()],
    )
}

/// Guard: the person is still one by itself, and who decided by what it did decides anew.
pub fn touch(id: AccountId) -> Query {
    query("update person set generation = generation + 1 where id = $1", args![id.to_string()])
}

/// The kinds of evidence that an account shares with any other.
pub fn shared_kinds(account: AccountId) -> Query {
    query(
        "select distinct e.kind from sighting s join evidence e on e.id = s.evidence_id where s.account_id = $1 and \
         exists (select 1 from sighting o where o.evidence_id = s.evidence_id and o.account_id <> s.account_id) \
         order by e.kind",
        args![account.to_string()],
    )
}

/// The key under which evidence is hashed now.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub number: i64,
    pub fingerprint: String,
    pub made_at: Timestamp,
    pub turn: i64,
}

/// All keys that were ever used, the oldest first.
pub fn keys() -> Query {
    query("select * from evidence_key order by number", args![])
}

pub fn read_key(row: &Row) -> Key {
    Key {
        number: row.int("number"),
        fingerprint: row.text("fingerprint").to_owned(),
        made_at: Timestamp::from_micros(row.int("made_at")),
        turn: row.int("turn"),
    }
}

pub fn insert_key(number: i64, fingerprint: &str, at: Timestamp) -> Query {
    query(
        "insert into evidence_key (number, fingerprint, made_at, turn) values ($1, $2, $3, 0)",
        args![number, fingerprint, at.micros()],
    )
}

pub fn forget_keys() -> Query {
    query("delete from evidence_key", args![])
}

/// Guard: nothing was learned, and no newer key came into use, since the key was read.
pub fn take_turn(key: &Key) -> Query {
    query("update evidence_key set turn = turn + 1 where number = $1 and turn = $2", args![key.number, key.turn])
}

/// The oldest key under which a hash still is.
pub fn oldest_in_use() -> Query {
    query("select key_number from evidence order by key_number limit 1", args![])
}

/// How many hashes are under a key. Counts them all.
pub fn count_under(number: i64) -> Query {
    query("select count(*) as count from evidence where key_number = $1", args![number])
}

pub fn under_older_keys(number: i64, limit: i64) -> Query {
    query("select * from evidence where key_number < $1 order by key_number, id limit $2", args![number, limit])
}

/// One piece of evidence, or a set of pieces that count together.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    pub id: EvidenceId,
    pub kind: String,
    pub hash: String,
    pub key_number: i64,
}

pub fn by_hash(hash: &str) -> Query {
    query("select * from evidence where hash = $1", args![hash])
}

pub fn read_evidence(row: &Row) -> Evidence {
    Evidence {
        id: own(row.text("id")),
        kind: row.text("kind").to_owned(),
        hash: row.text("hash").to_owned(),
        key_number: row.int("key_number"),
    }
}

/// Guard: nobody wrote the same evidence meanwhile.
pub fn insert_evidence(evidence: &Evidence) -> Query {
    query(
        "insert into evidence (id, kind, hash, key_number) values ($1, $2, $3, $4) on conflict (hash) do nothing",
        args![evidence.id.to_string(), evidence.kind.as_str(), evidence.hash.as_str(), evidence.key_number],
    )
}

/// Guard: the hash is still the one that was wrapped.
pub fn wrap(before: &Evidence, hash: &str, number: i64) -> Query {
    query(
        "update evidence set hash = $3, key_number = $4 where id = $1 and hash = $2",
        args![before.id.to_string(), before.hash.as_str(), hash, number],
    )
}

/// The first account, by id, that was seen with it: everybody else who links by it links with this one.
pub fn first_with(evidence: EvidenceId) -> Query {
    query(
        "select a.* from sighting s join account a on a.id = s.account_id where s.evidence_id = $1 \
         order by s.account_id limit 1",
        args![evidence.to_string()],
    )
}

pub fn sighting(evidence: EvidenceId, account: AccountId) -> Query {
    query(
        "select seen_at from sighting where evidence_id = $1 and account_id = $2",
        args![evidence.to_string(), account.to_string()],
    )
}

pub fn insert_sighting(evidence: EvidenceId, account: AccountId, at: Timestamp, source: Source) -> Query {
    query(
        "insert into sighting (evidence_id, account_id, seen_at, source) values ($1, $2, $3, $4)",
        args![evidence.to_string(), account.to_string(), at.micros(), source.name()],
    )
}

/// What an account was seen with: its kind, when, through what, and whether another account was seen with the same.
pub fn sightings(account: AccountId, after: &str, limit: i64) -> Query {
    query(
        "select e.id, e.kind, s.seen_at, s.source, case when exists (select 1 from sighting o \
         where o.evidence_id = s.evidence_id and o.account_id <> s.account_id) then 1 else 0 end as shared \
         from sighting s join evidence e on e.id = s.evidence_id where s.account_id = $1 and s.evidence_id > $2 \
         order by s.evidence_id limit $3",
        args![account.to_string(), after, limit],
    )
}

/// Those of an account that were not used.
pub fn forget_verifications(account: AccountId) -> Query {
    query("delete from verification where account_id = $1 and settled_at is null", args![account.to_string()])
}

/// A request of an account to be verified from outside.
pub fn insert_verification(reference_hash: &str, account: AccountId, at: Timestamp, expires_at: Timestamp) -> Query {
    query(
        "insert into verification (reference_hash, account_id, asked_at, expires_at) values ($1, $2, $3, $4)",
        args![reference_hash, account.to_string(), at.micros(), expires_at.micros()],
    )
}

/// Whose reference it is, if it can still be used.
pub fn open_verification(reference_hash: &str, now: Timestamp) -> Query {
    query(
        "select account_id from verification where reference_hash = $1 and settled_at is null and expires_at > $2",
        args![reference_hash, now.micros()],
    )
}

/// Guard: nobody used the reference meanwhile.
pub fn settle_verification(reference_hash: &str, outcome: &str, at: Timestamp) -> Query {
    query(
        "update verification set settled_at = $3, outcome = $2 where reference_hash = $1 and settled_at is null",
        args![reference_hash, outcome, at.micros()],
    )
}
