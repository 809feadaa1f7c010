//! What may show that two accounts are one person, and where was it seen? (rules §3.2)

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A kind of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The number of an identity document or of a registration as a company.
    Document,
    Phone,
    PaymentAccount,
    Device,
    /// On a network or on a letter.
    Address,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Document, Kind::Phone, Kind::PaymentAccount, Kind::Device, Kind::Address];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Document => "document",
            Kind::Phone => "phone",
            Kind::PaymentAccount => "payment-account",
            Kind::Device => "device",
            Kind::Address => "address",
        }
    }

    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Where evidence came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Registration,
    LogIn,
    Use,
    Operator,
    Verifier,
}

impl Source {
    pub const ALL: [Source; 5] = [Source::Registration, Source::LogIn, Source::Use, Source::Operator, Source::Verifier];

    pub fn name(self) -> &'static str {
        match self {
            Source::Registration => "registration",
            Source::LogIn => "log-in",
            Source::Use => "use",
            Source::Operator => "operator",
            Source::Verifier => "verifier",
        }
    }

    pub fn parse(name: &str) -> Option<Source> {
        Source::ALL.into_iter().find(|source| source.name() == name)
    }
}

/// What counts as one person, and how phones are written where the installation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PersonTerms {
    /// Each set links by itself; the kinds of one set only together, seen in one report.
    pub links: Vec<BTreeSet<Kind>>,
    /// Of a phone that is written without one.
    pub country_code: String,
    /// What is dialled before a number within the country.
    pub trunk_prefix: String,
    /// A number without `+` or `00` that is longer than this begins with its country code.
    pub national_digits: usize,
}

impl Default for PersonTerms {
    fn default() -> Self {
        let alone = [Kind::Document, Kind::Phone, Kind::PaymentAccount].map(|kind| BTreeSet::from([kind]));
        let together = BTreeSet::from([Kind::Device, Kind::Address]);
        Self {
            links: alone.into_iter().chain([together]).collect(),
            country_code: "86".to_owned(),
            trunk_prefix: "0".to_owned(),
            national_digits: 11,
        }
    }
}

impl PersonTerms {
    /// Whether a kind of mark, such as `phone` or `device+address`, makes accounts one person.
    pub fn links_by(&self, kind: &str) -> bool {
        self.links.iter().any(|set| set.iter().map(|one| one.name()).eq(kind.split('+')))
    }

    /// Everything that is wrong with them, in words for the operator.
    pub fn problems(&self) -> Vec<String> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let mut found = vec![];
        let mut check = |right: bool, problem: &str| {
            if !right {
                found.push(format!("person: {problem}"));
            }
        };
        check(
            !self.links.iter().any(BTreeSet::is_empty),
            "links: a set of no kinds would make all accounts one person",
        );
        check(
            (1..=3).contains(&self.country_code.len()) && digits(&self.country_code),
            "country_code is not 1 to 3 digits",
        );
        check(self.trunk_prefix.len() <= 3 && digits(&self.trunk_prefix), "trunk_prefix is not 0 to 3 digits");
        check((4..=14).contains(&self.national_digits), "national_digits is not from 4 to 14");
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_say_what_is_wrong_with_them_and_what_links() {
        let terms = PersonTerms::default();
        assert_eq!(terms.problems(), Vec::<String>::new());
        assert!(["document", "device+address"].iter().all(|kind| terms.links_by(kind)));
        assert!(!["device", "address+device", "document+phone", ""].iter().any(|kind| terms.links_by(kind)));
        let wrong = PersonTerms {
            links: vec![BTreeSet::new()],
            country_code: "+86".to_owned(),
            trunk_prefix: "O".to_owned(),
            national_digits: 0,
        };
        let found = wrong.problems();
        for (problem, named) in found.iter().zip(["links", "country_code", "trunk_prefix", "national_digits"]) {
            assert!(problem.starts_with(&format!("person: {named}")), "{problem}");
        }
        assert_eq!(found.len(), 4);
    }
}
