//! Evidence: one spelling, whatever was typed, and different spellings only for what differs.

use ebb_engine::evidence::{Evidence, marks};
use ebb_model::person::{Kind, PersonTerms};
use proptest::prelude::*;

/// How the mark of one piece reads, or nothing if it cannot be used.
fn mark(kind: Kind, seen: &str) -> Option<String> {
    let terms = PersonTerms::default();
    let piece = Evidence::new(kind, seen, &terms).ok()?;
    marks(&[piece], &terms).pop_first().map(|mark| mark.text)
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

/// Letters of other scripts that pass for these, and digits of other scripts that are these.
const ALIKE: [(&str, &str); 14] = [
    ("A", "АΑа"),
    ("B", "ВΒ"),
    ("C", "Сϲс"),
    ("E", "ЕΕе"),
    ("H", "НΗ"),
    ("K", "КΚ"),
    ("M", "МΜ"),
    ("O", "ОΟоο"),
    ("P", "РΡрρ"),
    ("T", "ТΤ"),
    ("X", "ХΧх×"),
    ("Y", "ҮΥу"),
    ("0", "٠०０"),
    ("7", "٧७７"),
];

/// The same, typed by somebody else: other case, other width, lookalikes; spaces, dashes and what is invisible between.
fn noisy(text: &str, dice: &[u8]) -> String {
    let mut said = String::new();
    for (c, die) in text.chars().zip(dice.iter().cycle()) {
        let alike = ALIKE.iter().find(|(ascii, _)| ascii.contains(c)).map_or("", |(_, alike)| alike);
        let alike = alike.chars().nth(usize::from(die / 32)).unwrap_or(c);
        let c = match die % 5 {
            0 => c.to_ascii_lowercase(),
            1 => c.to_ascii_uppercase(),
            2 if c.is_ascii_graphic() => char::from_u32(c as u32 + 0xfee0).unwrap(),
            3 => alike,
            _ => c,
        };
        said.push_str(["", " ", "-", "\u{200b}", "\u{a0}", "\u{34f}", "\u{e0041}"][usize::from(die / 5 % 7)]);
        said.push(c);
    }
    said
}

proptest! {
    #[test]
    fn a_spelling_is_its_own_spelling(kind in kind(), seen in "\\PC{0,40}") {
        if let Some(once) = mark(kind, &seen) {
            let normal = once.split_once('\0').unwrap().1.to_owned();
            prop_assert_eq!(mark(kind, &normal), Some(once));
        }
    }

    #[test]
    fn noise_makes_no_difference(document in "[A-Z][0-9]{4,17}[0-9X]", dice in prop::collection::vec(any::<u8>(), 1..20)) {
        prop_assert_eq!(mark(Kind::Document, &noisy(&document, &dice)), mark(Kind::Document, &document));
        prop_assert_eq!(mark(Kind::PaymentAccount, &noisy(&document, &dice)), mark(Kind::PaymentAccount, &document));
    }

    #[test]
    fn a_phone_is_one_with_and_without_its_country(number in "1[3-9][0-9]{9}", dice in prop::collection::vec(any::<u8>(), 1..20)) {
        let expected = Some(format!("phone\0+86{number}"));
        for written in [number.clone(), format!("+86{number}"), format!("0086{number}"), format!("86{number}"), format!("0{number}")] {
            // No noise before the sign that says how it is written.
            let (sign, rest) = written.split_at(1);
            prop_assert_eq!(mark(Kind::Phone, &format!("{sign}{}", noisy(rest, &dice))), expected.clone(), "{}", written);
        }
    }

    #[test]
    fn different_digits_are_different_people(one in "[A-Z][0-9]{8}", other in "[A-Z][0-9]{8}", kind in kind()) {
        prop_assume!(one != other);
        if let (Some(one), Some(other)) = (mark(kind, &one), mark(kind, &other)) {
            prop_assert_ne!(one, other);
        }
    }
}
