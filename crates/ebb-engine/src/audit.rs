//! Does all that is stored agree? Everything is added up again, and what differs is named (rules §1.2, §5.1, §5.4).
//!
//! Whoever reads the rows feeds them: [`account::AccountAudit`] takes those of one account, [`room::RoomAudit`] those of one host.
//! Records and entries go by page after page; what is remembered of an account are its spans, and a sum for each of its entries.
//!
//! | what | where |
//! |---|---|
//! | spans against the lives of instances | [`lives`] |
//! | and of data disks and snapshots | [`volumes`] |
//! | records against what rating their spans anew gives, hour by hour | [`hours`] |
//! | records of traffic, pools and counters against the readings in the log | [`sent`] |
//! | entries, totals, purse, holds, grant, what was given back | [`ledger`] |
//! | each coupon and card against its payments, what came back to it and what became of the rest | [`vouchers`] |
//! | arrears and the cap against the log | [`owing`] |
//! | months in advance, what is held for ordered ones, and a budget against the log | [`months`], [`budget`] |
//! | a host's room against who stands on it | [`room`] |
//!
//! A further kind of money is a line in [`ledger`] where the others are compared.

pub mod account;
mod bandwidth;
mod budget;
mod hours;
mod ledger;
mod lives;
mod months;
mod owing;
pub mod room;
mod sent;
mod volumes;
mod vouchers;

use ebb_model::id::AccountId;
use std::fmt::{self, Display, Write};

macro_rules! checks {
    ($($variant:ident $name:literal $rule:literal,)*) => {
        /// What is compared.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Check {
            $($variant,)*
        }

        impl Check {
            pub const ALL: &[Check] = &[$(Check::$variant),*];

            /// A stable name for programs; `docs/audit.md` has what to do about each.
            pub fn name(self) -> &'static str {
                match self { $(Check::$variant => $name,)* }
            }

            /// What is true where nothing is wrong.
            pub fn rule(self) -> &'static str {
                match self { $(Check::$variant => $rule,)* }
            }
        }
    };
}

checks! {
    Span "span" "each second of a life lies in exactly one span of each meter (rules §1.6)",
    OpenHour "open-hour" "an account that is charged by the hour has an hour to close (rules §4.1)",
    RecordMissing "record-missing" "each second of a settled span is on a record (rules §1.1)",
    RecordExtra "record-extra" "no second is on two records, and each record has its span (rules §1.1)",
    Record "record" "a record says what rating its span anew gives (rules §1.1, §2.3, §3.3)",
    Parts "parts" "the parts of a record sum up to its quantity times its price (rules §5.1)",
    Block "block" "what is kept of a block is what its records come to (rules §2.4)",
    Traffic "traffic" "records of traffic and what is still open are what the counters' readings come to (rules §3.6)",
    Pool "pool" "what a month's pools paid is what its records say (rules §3.6)",
    Total "total" "a running total is the sum of the records, exactly (rules §1.2)",
    Balance "entry-balance" "the postings of an entry sum up to nothing (rules §5.1)",
    Place "entry-place" "an entry names places of the chart of accounts, and no other account's (rules §5.1)",
    Entry "entry" "an entry moves what its records, or its adjustment, come to (rules §1.2)",
    Posted "posted" "what was posted of a total is that total rounded half up (rules §1.2)",
    Purse "purse" "cash and debt are what was posted (rules §5.1)",
    Held "held" "what is held is the sum of the holds, each of an order that lives (rules §5.2)",
    Grant "grant" "issued = left + used + revoked + expired (rules §5.1)",
    Adjustment "adjustment" "no more is given back than was paid (rules §5.3)",
    Voucher "voucher" "a voucher's face is what is left, used, expired and revoked of it, as its payments and the log say (rules §5.1, §5.3)",
    VoucherPaid "voucher-paid" "a voucher pays what it may, while it is valid, and what a record says is paid by vouchers is (rules §2.9, §5.1)",
    Arrears "arrears" "an account is in arrears while it owes, and as its log has it (rules §5.2)",
    Cap "cap" "what a cap counts of a month is what is payable by its records (rules §3.8)",
    Months "months" "months that are paid in advance are those of the log (rules §4.3)",
    Budget "budget" "a budget and what was told of it are those of the log (rules §4.3)",
    Alarm "alarm" "what an alarm is about is there, and a trial that is not over has one (rules §3.7)",
    Ledger "ledger" "all places of the books sum up to nothing (rules §5.1)",
    Room "room" "what is taken of a host is what stands on it (rules §2.14)",
}

/// Something that does not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub check: Check,
    pub account: Option<AccountId>,
    /// The table's name, the row's key, and what of it.
    pub row: String,
    pub stored: String,
    /// What it should be by everything else.
    pub comes_to: String,
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = self.account.map(|id| format!("{id}: ")).unwrap_or_default();
        let Finding { check, row, stored, comes_to, .. } = self;
        write!(f, "{whose}{row} is {stored} and comes to {comes_to}: {}", check.rule())
    }
}

/// What was found, up to so many.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub findings: Vec<Finding>,
    /// Also those that are not kept.
    pub count: u64,
    pub most: usize,
}

impl Found {
    pub fn up_to(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    pub fn add(
        &mut self,
        check: Check,
        account: Option<AccountId>,
        row: impl Display,
        stored: impl Display,
        comes_to: impl Display,
    ) {
        self.count += 1;
        if self.findings.len() < self.most {
            let (row, stored, comes_to) = (row.to_string(), stored.to_string(), comes_to.to_string());
            self.findings.push(Finding { check, account, row, stored, comes_to });
        }
    }

    /// The same, if both differ.
    pub fn compare<T: PartialEq + Display>(
        &mut self,
        check: Check,
        account: AccountId,
        row: impl Display,
        stored: T,
        comes_to: T,
    ) {
        if stored != comes_to {
            self.add(check, Some(account), row, stored, comes_to);
        }
    }

    pub fn join(&mut self, other: Found) {
        self.count += other.count;
        let room = self.most.saturating_sub(self.findings.len());
        self.findings.extend(other.findings.into_iter().take(room));
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

macro_rules! counts {
    ($($field:ident $one:literal $many:literal,)*) => {
        /// How many rows were added up again.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Counts {
            $(pub $field: u64,)*
        }

        impl Counts {
            pub fn plus(self, other: Counts) -> Counts {
                Counts { $($field: self.$field + other.$field,)* }
            }

            /// By the name of their table.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field)),*]
            }

            fn named(&self) -> Vec<(u64, &'static str)> {
                vec![$((self.$field, if self.$field == 1 { $one } else { $many })),*]
            }
        }
    };
}

counts! {
    account "account" "accounts",
    instance "instance" "instances",
    volume "volume" "volumes",
    span "span" "spans",
    bill_record "record" "records",
    traffic_record "record of traffic" "records of traffic",
    entry "entry" "entries",
    posting "posting" "postings",
    hold "hold" "holds",
    adjustment "adjustment" "adjustments",
    voucher "voucher" "vouchers",
    event "event" "events",
    host "host" "hosts",
}

impl Counts {
    /// `3 accounts, 1,200 records`: all of which there are any.
    pub fn words(&self) -> String {
        let mut text = String::new();
        for (number, name) in self.named().into_iter().filter(|(number, _)| *number > 0) {
            let comma = if text.is_empty() { "" } else { ", " };
            write!(text, "{comma}{} {name}", grouped(number)).expect("writing to memory");
        }
        if text.is_empty() { "nothing".to_owned() } else { text }
    }
}

/// `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_numbers_can_be_read() {
        let page = include_str!("../../../docs/audit.md");
        for check in Check::ALL {
            assert!(page.contains(&format!("`{}`", check.name())), "the page does not say what to do about {check:?}");
        }
        let names: std::collections::BTreeSet<_> = Check::ALL.iter().map(|check| check.name()).collect();
        assert_eq!(names.len(), Check::ALL.len());
        assert_eq!([1, 999, 1_000, 1_234_567].map(grouped), ["1", "999", "1,000", "1,234,567"]);
        let counts = Counts { account: 1, bill_record: 12_345, ..Counts::default() };
        assert_eq!(counts.words(), "1 account, 12,345 records");
    }
}
