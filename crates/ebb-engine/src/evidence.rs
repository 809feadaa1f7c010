//! What do two accounts share? Evidence in one spelling, and the marks by which it is compared (rules §3.2).

mod address;
mod anybodys;
mod letters;
mod phone;

pub use self::letters::is_invisible;

use crate::refusal::Refused;
use ebb_model::person::{Kind, PersonTerms};
use std::collections::BTreeSet;

/// So many pieces are in one report. It bounds how many sets of them there are.
pub const MOST_IN_REPORT: usize = 16;
const LONGEST: usize = 256;
/// After so many a spelling is taken as it is.
const MOST_SPELLINGS: usize = 4;
/// The hexadecimal digits of a MAC address; what is shorter may be a name.
const NUMBER_OF_A_DEVICE: usize = 12;

/// One piece of evidence in the spelling in which it is compared. It is personal: nothing but its keyed hash is kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    kind: Kind,
    normal: String,
}

/// What is compared: one piece, or a set of pieces of one report that the terms take together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// `document`, or `device+address`.
    pub kind: String,
    /// What is hashed under the installation's keys.
    pub text: String,
    /// Whoever shares it is one person.
    pub links: bool,
}

impl Evidence {
    /// Brings what was seen into one spelling, so that letter case, width, lookalikes, spaces and the own country's code make no
    /// difference.
    ///
    /// # Errors
    /// What is empty, too short or too long, or such that it would be shared by people who have nothing to do with each other.
    pub fn new(kind: Kind, seen: &str, terms: &PersonTerms) -> Result<Evidence, Refused> {
        let refuse = |why: String| Err(Refused::Evidence { kind: kind.name(), why });
        let length = seen.chars().count();
        if length > LONGEST {
            return refuse(format!("it has {length} characters, more than {LONGEST}"));
        }
        if seen.chars().any(|c| c.is_control() && !c.is_whitespace()) {
            return refuse("control characters are not allowed".to_owned());
        }
        let mut normal = match spelled(kind, seen, terms) {
            Ok(spelled) => spelled,
            Err(why) => return refuse(why),
        };
        // Where something was left out, letters and marks meet that were apart.
        for _ in 0..MOST_SPELLINGS {
            match spelled(kind, &normal, terms) {
                Ok(again) if again != normal => normal = again,
                Ok(_) => break,
                Err(why) => return refuse(why),
            }
        }
        let (count, least) = (normal.chars().count(), least(kind));
        if count < least {
            return refuse(format!("{count} characters are left of it without spaces and signs, {least} are needed"));
        }
        if let Some(why) = anybodys::anybodys(kind, &normal, terms) {
            return refuse(why.to_owned());
        }
        Ok(Evidence { kind, normal })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }
}

fn spelled(kind: Kind, seen: &str, terms: &PersonTerms) -> Result<String, String> {
    let folded = letters::fold(seen);
    Ok(match kind {
        Kind::Document => folded.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_uppercase(),
        Kind::Phone => phone::phone(&folded, terms)?,
        Kind::PaymentAccount => folded.chars().filter(|c| !c.is_whitespace() && !is_dash(*c)).collect(),
        Kind::Device => device(&spaced_once(&folded)),
        Kind::Address => address::address(&spaced_once(&folded))?,
    })
}

/// Fewer characters than these say nothing about a person.
fn least(kind: Kind) -> usize {
    match kind {
        Kind::Document => 5,
        Kind::Phone => 8,
        Kind::PaymentAccount => 4,
        Kind::Device => 4,
        Kind::Address => 3,
    }
}

/// The marks of one report: each piece by itself, and each set that links only together.
pub fn marks(report: &[Evidence], terms: &PersonTerms) -> BTreeSet<Mark> {
    let alone = |kind: Kind| terms.links.contains(&BTreeSet::from([kind]));
    let single = |piece: &Evidence| Mark {
        kind: piece.kind.name().to_owned(),
        text: format!("{}\0{}", piece.kind.name(), piece.normal),
        links: alone(piece.kind),
    };
    let mut marks: BTreeSet<Mark> = report.iter().map(single).collect();
    for set in terms.links.iter().filter(|set| set.len() > 1) {
        let mut together: Vec<Vec<&Evidence>> = vec![vec![]];
        for kind in set {
            let choices = report.iter().filter(|piece| piece.kind == *kind);
            let longer = choices.flat_map(|piece| together.iter().map(move |chosen| [&chosen[..], &[piece]].concat()));
            together = longer.collect();
        }
        marks.extend(together.iter().map(|chosen| {
            let names: Vec<&str> = chosen.iter().map(|piece| piece.kind.name()).collect();
            let values: Vec<&str> = chosen.iter().map(|piece| piece.normal.as_str()).collect();
            let kind = names.join("+");
            Mark { text: format!("{kind}\0{}", values.join("\0")), kind, links: true }
        }));
    }
    marks
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

fn spaced_once(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A number such as a network card's is read without what stands between its digits, which is a matter of taste.
fn device(text: &str) -> String {
    let digits: String =
        text.chars().filter(|c| !c.is_whitespace() && !is_dash(*c) && !matches!(c, ':' | '.')).collect();
    let number = digits.len() >= NUMBER_OF_A_DEVICE && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if number { digits } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(kind: Kind, seen: &str) -> String {
        Evidence::new(kind, seen, &PersonTerms::default()).map_or_else(|refused| refused.to_string(), |one| one.normal)
    }

    #[test]
    fn one_document_in_many_spellings() {
        for seen in [
            "11010519491231002X",
            "１１０１０５１９４９１２３１００２ｘ",
            " 110105 19491231-002x ",
            "110105\u{200b}19491231002X",
            "11010519491231002Х",
            "11010519491231002χ",
            "11010519491231002×",
            "١١٠١٠٥١٩٤٩١٢٣١٠٠٢X",
            "110105\u{34f}1949\u{3164}1231\u{e0101}002X",
        ] {
            assert_eq!(normal(Kind::Document, seen), "11010519491231002X", "{seen}");
        }
        assert_eq!(normal(Kind::Document, "a123456(7)"), "A1234567");
    }

    #[test]
    fn one_phone_with_and_without_its_country() {
        let seen = [
            "13800138000",
            "+86 138 0013 8000",
            "0086-138-0013-8000",
            "86 13800138000",
            "0138 0013 8000",
            "＋８６（１３８）００１３８０００",
            "+86 (0) 138 0013 8000",
            "+0086 138 0013 8000",
            "+86 86 138 0013 8000",
            "0086 86 13800138000",
            "+86 0138 0013 8000",
            "+86 0086 13800138000",
            "(+86) 138 0013 8000",
            "٠١٣٨٠٠١٣٨٠٠٠",
        ];
        for seen in seen {
            assert_eq!(normal(Kind::Phone, seen), "+8613800138000", "{seen}");
        }
        assert_eq!(normal(Kind::Phone, "010 6552 9988"), "+861065529988");
        assert_eq!(normal(Kind::Phone, "+86 010 6552 9988"), "+861065529988");
        assert_eq!(normal(Kind::Phone, "+44 (0)20 7946 0958"), "+442079460958");
        // What is abroad has a country of its own.
        assert_eq!(normal(Kind::Phone, "+1 (415) 555-2671"), "+14155552671");
        for seen in [
            "",
            "call me",
            "+",
            "123",
            "+0138 0013 8000",
            "+86 111 1111 1111",
            "12345678901",
            "+1 234 567 8901",
            "+1234567890123456",
            "138 0013 8000 ext. 5",
        ] {
            assert!(normal(Kind::Phone, seen).contains("rules §3.2"), "{seen}");
        }
    }

    #[test]
    fn spaces_case_and_spellings_of_addresses_make_no_difference() {
        assert_eq!(normal(Kind::PaymentAccount, "6222 0200-0000 1234"), "6222020000001234");
        assert_eq!(normal(Kind::PaymentAccount, "Ada@Example.COM"), "ada@example.com");
        assert_eq!(normal(Kind::Device, " ThinkPad\t X1 "), "thinkpad x1");
        // Outside some providers dots make another mailbox.
        assert_eq!(normal(Kind::PaymentAccount, "a.d_a/1@example.com"), "a.d_a/1@example.com");
        assert_eq!(normal(Kind::PaymentAccount, "аdа@ехаmрlе.com"), "ada@example.com");
        for mac in ["4C:9F:01:AA:BB:CC", "4c-9f-01-aa-bb-cc", "4c9f.01aa.bbcc", "4c9f01aabbcc"] {
            assert_eq!(normal(Kind::Device, mac), "4c9f01aabbcc");
        }
        assert_eq!(normal(Kind::Address, "2A00:1450:0::1"), "2a00:1450::1");
        assert_eq!(normal(Kind::Address, "::ffff:93.184.215.7"), "93.184.215.7");
        assert_eq!(normal(Kind::Address, "1  Main  St."), "1 main st.");
    }

    #[test]
    fn what_says_nothing_is_refused() {
        let long = "x1".repeat(200);
        for (kind, seen) in [
            (Kind::Document, "000000000000000000"),
            (Kind::Document, "x-x-x-x-x-x"),
            (Kind::Document, "12"),
            (Kind::Document, ""),
            (Kind::Document, "\u{200b}\u{200b}"),
            (Kind::Device, "   "),
            (Kind::Device, long.as_str()),
            (Kind::Phone, "00000000000"),
            (Kind::Address, "a\u{7}bc"),
            (Kind::PaymentAccount, "----"),
            (Kind::Document, "N / A"),
            (Kind::Document, "Undefined"),
            (Kind::Document, "12345"),
            (Kind::Document, "0123456789"),
            (Kind::PaymentAccount, "ＮＵＬＬ"),
            (Kind::PaymentAccount, "9876543210"),
            (Kind::Device, "unknоwn"),
            (Kind::Device, "abcdef"),
            (Kind::Device, "00:00:00:00:00:00"),
            (Kind::Address, "test"),
            (Kind::Address, "192.168.1.1"),
        ] {
            assert!(normal(kind, seen).contains("rules §3.2"), "{kind:?} {seen:?}");
        }
    }

    #[test]
    fn what_links_only_together_is_a_mark_of_its_own() {
        let terms = PersonTerms::default();
        let piece = |kind, seen| Evidence::new(kind, seen, &terms).unwrap();
        let report =
            [piece(Kind::Device, "laptop"), piece(Kind::Address, "93.184.215.7"), piece(Kind::Address, "93.184.215.8")];
        let linking = marks(&report, &terms).into_iter().filter(|mark| mark.links).map(|mark| mark.kind);
        assert_eq!(linking.collect::<Vec<_>>(), ["device+address", "device+address"]);
        let alone = marks(&report[..1], &terms);
        assert_eq!(alone.iter().map(|mark| (mark.kind.as_str(), mark.links)).collect::<Vec<_>>(), [("device", false)]);
    }
}
