//! Which accounts are one person? What each was seen with, and who shares it (rules §3.2).
//!
//! A unit of work changes one account's row by its guard. Whose an account is (`account.person`) is a column that guard does not write:
//! it is written here alone. Units that learn something take turns at the newest evidence key, so no two unions cross. A claim
//! meets a union at the row of the person, or at the generation of an account that was nobody else's.

use crate::app::App;
use crate::arrears;
use crate::denied::Denied;
use crate::evidence::newest_key;
use crate::unit::{Outcome, Unit, refuse};
use ebb_engine::eligibility::{Claimant, Others, Overrule};
use ebb_engine::event::Event;
use ebb_engine::evidence::{Evidence, MOST_IN_REPORT, Mark, marks};
use ebb_engine::refusal::Refused;
use ebb_model::id::{AccountId, EvidenceId};
use ebb_model::person::{Kind, PersonTerms, Source};
use ebb_model::trial::Holder;
use ebb_store::rows::account::{self, Account};
use ebb_store::rows::appeal;
use ebb_store::rows::person::{self, Person};
use ebb_store::{Halt, Reads, StoreError};
use ebb_wire::person as wire;
use std::collections::{BTreeMap, BTreeSet};

/// What an account was seen with, and where.
#[derive(Clone)]
pub struct Report {
    source: Source,
    marks: BTreeSet<Mark>,
}

impl Report {
    /// # Errors
    /// A piece that cannot be used, or more than are taken at once.
    pub fn new(source: Source, pieces: &[wire::Evidence], terms: &PersonTerms) -> Result<Report, Denied> {
        if pieces.len() > MOST_IN_REPORT {
            return Err(Refused::TooMuchEvidence { given: pieces.len(), most: MOST_IN_REPORT }.into());
        }
        let read = pieces.iter().map(|piece| {
            let kind = Kind::parse(&piece.kind).ok_or_else(|| {
                let known = Kind::ALL.map(Kind::name).join(", ");
                Denied::BadInput(format!(
                    "kind: `{}` is none of {known}",
                    piece.kind.chars().take(40).collect::<String>()
                ))
            })?;
            Ok(Evidence::new(kind, &piece.value, terms)?)
        });
        let pieces: Vec<Evidence> = read.collect::<Result<_, Denied>>()?;
        Ok(Report { source, marks: marks(&pieces, terms) })
    }

    /// Whether somebody else who is seen with the same would be the same person.
    pub fn tells_whose(&self) -> bool {
        self.marks.iter().any(|mark| mark.links)
    }

    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }
}

/// What a report brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Learned {
    /// Kinds that were not known of this account.
    pub new: BTreeSet<String>,
    /// Kinds that it shares with accounts that were another person until now.
    pub linked: BTreeSet<String>,
}

/// Whether an account is in the database, or opened by this very unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Whose {
    Known,
    /// Nobody else can know it, so nothing has to be guarded.
    New,
}

/// A person as one side of a union.
struct Side {
    /// What calls it: the row of `person`, or an account that is nobody else's.
    person: Person,
    /// That account's generation.
    alone: Option<i64>,
    /// The account by which it was found.
    found: AccountId,
    shared: BTreeSet<String>,
}

impl Unit {
    /// Records what an account was seen with, and makes it one person with those who were seen with the same.
    pub async fn see(&mut self, id: AccountId, report: &Report, whose: Whose) -> Outcome<Learned> {
        let account = self.account(id).await?.clone();
        if account.closed_at.is_some() {
            return refuse(Refused::AccountClosed);
        }
        let key = newest_key(self).await?;
        let oldest = self.reads.row(person::oldest_in_use()).await?.map_or(key.number, |row| row.int("key_number"));
        let mut learned = Learned::default();
        let mut found: BTreeMap<AccountId, (Account, BTreeSet<String>)> = BTreeMap::new();
        for mark in &report.marks {
            let hashes = self.app.evidence.hashes(&mark.text, oldest, key.number).ok_or(Denied::Internal)?;
            let Some(known) = self.known(&hashes).await? else {
                let hash = hashes.last().expect("a hash under the newest key").clone();
                let id_of_it = self.keep(&mark.kind, hash, key.number);
                self.write(person::insert_sighting(id_of_it, id, self.now, report.source));
                learned.new.insert(mark.kind.clone());
                continue;
            };
            if self.reads.row(person::sighting(known, id)).await?.is_none() {
                self.write(person::insert_sighting(known, id, self.now, report.source));
                learned.new.insert(mark.kind.clone());
            }
            if let Some(row) = self.reads.row(person::first_with(known)).await?.filter(|_| mark.links) {
                let first = account::read(&row);
                if first.id != id && root(&first) != root(&account) {
                    let kinds = &mut found.entry(root(&first)).or_insert_with(|| (first, BTreeSet::new())).1;
                    kinds.insert(mark.kind.clone());
                }
            }
        }
        if !learned.new.is_empty() || !found.is_empty() {
            self.guard(person::take_turn(&key));
        }
        if !learned.new.is_empty() {
            let kinds = learned.new.iter().cloned().collect();
            self.log(id, None, &Event::EvidenceSeen { kinds, source: report.source });
        }
        learned.linked = found.values().flat_map(|(_, kinds)| kinds.iter().cloned()).collect();
        self.unite(&account, whose, found.into_values().collect()).await?;
        Ok(learned)
    }

    /// The operator knows that two accounts are one person's.
    pub async fn link(&mut self, id: AccountId, other: AccountId) -> Outcome<()> {
        let account = self.account(id).await?.clone();
        let Some(row) = self.reads.row(account::by_id(other)).await? else {
            return refuse(Denied::not_found("account", other));
        };
        let other = account::read(&row);
        if root(&account) == root(&other) {
            return Ok(());
        }
        let key = newest_key(self).await?;
        self.guard(person::take_turn(&key));
        // His word is a piece of evidence that both have, so a refusal can name it like any other.
        let word = EvidenceId::new(self.app.mint.uuid(self.now));
        let evidence =
            person::Evidence { id: word, kind: WORD.to_owned(), hash: word.to_string(), key_number: key.number };
        self.guard(person::insert_evidence(&evidence));
        for one in [id, other.id] {
            self.write(person::insert_sighting(word, one, self.now, Source::Operator));
        }
        self.unite(&account, Whose::Known, vec![(other, BTreeSet::new())]).await
    }

    /// Evidence that has one of these hashes. A row goes from older keys to newer ones, so they are asked in this order.
    async fn known(&self, hashes: &[String]) -> Outcome<Option<EvidenceId>> {
        for hash in hashes {
            if let Some(row) = self.reads.row(person::by_hash(hash)).await? {
                return Ok(Some(person::read_evidence(&row).id));
            }
        }
        Ok(None)
    }

    fn keep(&mut self, kind: &str, hash: String, key_number: i64) -> EvidenceId {
        let id = EvidenceId::new(self.app.mint.uuid(self.now));
        self.guard(person::insert_evidence(&person::Evidence { id, kind: kind.to_owned(), hash, key_number }));
        id
    }

    /// Makes one person of an account's and others. The largest takes the others in, so an account changes hands seldom: of
    /// ten thousand, none more than fourteen times.
    async fn unite(
        &mut self,
        account: &Account,
        whose: Whose,
        others: Vec<(Account, BTreeSet<String>)>,
    ) -> Outcome<()> {
        if others.is_empty() {
            return Ok(());
        }
        let all_shared: BTreeSet<String> = others.iter().flat_map(|(_, shared)| shared.iter().cloned()).collect();
        let mut sides = vec![self.side(account, all_shared.clone()).await?];
        for (other, shared) in others {
            sides.push(self.side(&other, shared).await?);
        }
        let largest =
            sides.iter().enumerate().max_by_key(|(_, side)| (side.person.size, std::cmp::Reverse(side.person.id)));
        let into = sides.remove(largest.expect("at least two sides").0);
        let person = Person {
            size: into.person.size + sides.iter().map(|side| side.person.size).sum::<i64>(),
            claimed_as: sides.iter().fold(into.person.claimed_as, |claimed, side| claimed.or(side.person.claimed_as)),
            ..into.person.clone()
        };
        match into.alone {
            None => self.guard(person::change(&person)),
            Some(generation) => {
                self.guard(person::insert(&person));
                self.label(account.id, whose, person.id, generation, person.id).await?;
            }
        }
        for side in &sides {
            match side.alone {
                Some(generation) => self.label(account.id, whose, side.person.id, generation, person.id).await?,
                None => {
                    let moved = self.reads.rows(person::members(side.person.id)).await?;
                    let moved = moved.iter().map(|row| row.text("id").parse().expect("an id that this program wrote"));
                    self.link_in_picture(moved, person.id);
                    self.guard(person::delete(&side.person));
                    self.write(person::relabel(side.person.id, person.id));
                }
            }
            if side.found != account.id {
                let shared = side.shared.iter().cloned().collect();
                self.log(side.found, None, &Event::AccountLinked { person: person.id, shared });
            }
        }
        let shared = all_shared.into_iter().collect();
        self.log(account.id, None, &Event::AccountLinked { person: person.id, shared });
        Ok(())
    }

    async fn side(&self, account: &Account, shared: BTreeSet<String>) -> Outcome<Side> {
        let found = account.id;
        if let Some(person) = account.person {
            let row = self.reads.row(person::by_id(person)).await?;
            // It went into another since the account was read.
            let row = row.ok_or(Halt::Store(StoreError::Contended))?;
            return Ok(Side { person: person::read(&row), alone: None, found, shared });
        }
        let claimed_as = self.reads.row(account::grant(found)).await?.map(|row| account::read_grant(&row).holder);
        let person = Person { id: found, size: 1, claimed_as, generation: 1 };
        Ok(Side { person, alone: Some(account.generation), found, shared })
    }

    /// An account that was nobody else's becomes a person's.
    async fn label(
        &mut self,
        mine: AccountId,
        whose: Whose,
        alone: AccountId,
        generation: i64,
        person: AccountId,
    ) -> Outcome<()> {
        self.link_in_picture([alone], person);
        match (alone == mine, whose) {
            (false, _) => self.guard(person::label_alone(alone, generation, person)),
            (true, Whose::New) => self.write(person::label(alone, person)),
            (true, Whose::Known) => {
                // The guard of this unit's own account stands for it.
                self.change_account(mine).await?;
                self.write(person::label(alone, person));
            }
        }
        Ok(())
    }
}

/// The kind of evidence that an operator's word is.
const WORD: &str = "the operator's word";

fn links(terms: &PersonTerms, kind: &str) -> bool {
    kind == WORD || terms.links_by(kind)
}

/// What calls the person of an account.
pub fn root(account: &Account) -> AccountId {
    account.person.unwrap_or(account.id)
}

/// Who wants to claim, and what has to be guarded when he does.
pub struct Known {
    pub claimant: Claimant,
    pub person: Option<Person>,
    pub overrule: Option<appeal::Appeal>,
}

/// What the rules ask of somebody who wants to claim. Looks at a few rows, however large the person is.
pub async fn claimant(reads: &Reads, terms: &PersonTerms, account: &Account) -> Result<Known, StoreError> {
    let claimed = reads.row(account::grant(account.id)).await?.is_some();
    let overrule = reads.row(appeal::overrule_of(account.id)).await?.map(|row| appeal::read(&row));
    let (mut person, mut others) = (None, Others::default());
    if let Some(id) = account.person {
        let row = reads.row(person::by_id(id)).await?.ok_or(StoreError::Contended)?;
        let known = person::read(&row);
        // Asked for first: what begins to run meanwhile is seen by one of the two.
        others.ordered = reads.row(person::another_order_under_way(id, account.id)).await?.is_some();
        others.claimed = known.claimed_as.filter(|_| !claimed);
        others.ran = reads.row(person::another_ran(id, account.id)).await?.is_some();
        let shared = reads.rows(person::shared_kinds(account.id)).await?;
        others.shared = shared.iter().map(|row| row.text("kind").to_owned()).collect();
        // A device alone, though it is shared, made nobody one person; where the terms were others, all of it is named.
        if others.shared.iter().any(|kind| links(terms, kind)) {
            others.shared.retain(|kind| links(terms, kind));
        }
        person = Some(known);
    }
    let word = match overrule.as_ref().and_then(|overrule| overrule.decided.as_ref()) {
        Some(decided) => Some(overruled(reads, account, decided).await?),
        None => None,
    };
    let claimant = Claimant {
        verified: account.holder,
        closed: account.closed_at.is_some(),
        debt: account.purse.debt,
        frozen: arrears::frozen_since(reads, account).await?,
        claimed,
        ran: account.ran,
        ordered: reads.row(person::order_under_way(account.id)).await?.is_some(),
        others,
        overrule: word,
    };
    Ok(Known { claimant, person, overrule })
}

/// What the operator's word is about, and what was done since. There is seldom one, so this may look at all accounts of a person.
async fn overruled(reads: &Reads, account: &Account, decided: &appeal::Decided) -> Result<Overrule, StoreError> {
    let at = decided.at.second();
    let mut word = Overrule { lifts: decided.lifts.iter().cloned().collect(), ..Overrule::default() };
    word.ran_since = reads.row(person::ran_since(account.id, at)).await?.is_some();
    if let Some(id) = account.person {
        word.others_ran_since = reads.row(person::another_ran_since(id, account.id, at)).await?.is_some();
        word.others_claimed_since = reads.row(person::another_claimed_since(id, account.id, at)).await?.is_some();
    }
    Ok(word)
}

/// Guards a claim: whoever claims with another account of the person, or joins it with others, decides anew.
pub async fn guard_claim(unit: &mut Unit, account: AccountId, known: &Known, holder: Holder) -> Outcome<()> {
    unit.change_account(account).await?;
    if let Some(person) = &known.person {
        unit.guard(person::change(&Person { claimed_as: Some(person.claimed_as.unwrap_or(holder)), ..person.clone() }));
    }
    if let Some(overrule) = known.overrule.as_ref().filter(|_| ebb_engine::eligibility::uses_overrule(&known.claimant))
    {
        unit.guard(appeal::use_up(overrule.id, unit.now));
    }
    Ok(())
}

impl App {
    /// What somebody reports, as far as it can be used here.
    pub fn report(&self, source: Source, pieces: &[wire::Evidence]) -> Result<Report, Denied> {
        Report::new(source, pieces, &self.catalog.person)
    }
}
