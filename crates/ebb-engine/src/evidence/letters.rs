//! Which letters and digits are the same, whoever typed them? (rules §3.2)

use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;

/// One form of what reads alike: width, case, digits and lookalikes of other scripts; what is invisible is dropped.
pub(super) fn fold(text: &str) -> String {
    let seen = text.chars().map(lunate).nfkd().filter(|c| !is_invisible(*c)).map(plain);
    // Marks that were taken off are put on again, now perhaps on a plain letter.
    let whole: String = seen.nfkc().collect();
    whole.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}

/// Whether nothing is to be seen of it by itself: Unicode's `Default_Ignorable_Code_Point`.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// A sigma that is written as a C; its compatible form is one that is not.
fn lunate(c: char) -> char {
    match c {
        '\u{3f2}' => 'c',
        '\u{3f9}' => 'C',
        _ => c,
    }
}

/// The ASCII character that one of another script is, or passes for; else itself.
fn plain(c: char) -> char {
    if c.is_ascii() || is_east_asian(c) {
        return c;
    }
    digit(c).or_else(|| look_alike(c)).unwrap_or(c)
}

/// Digits of all scripts stand in tens, 0 first.
fn digit(c: char) -> Option<char> {
    let zero = ZEROS.iter().rev().find(|zero| **zero <= c)?;
    char::from_digit(u32::from(c) - u32::from(*zero), 10)
}

/// Where a letter passes for none itself, it is what its other case passes for: so a case is no way out.
fn look_alike(c: char) -> Option<char> {
    let upper = || only(c.to_uppercase()).filter(|other| *other != c).and_then(passes_for);
    let lower = || only(c.to_lowercase()).filter(|other| *other != c).and_then(passes_for);
    match passes_for(c) {
        // A stroke. It is called l also where it is a capital I.
        Some('l') => lower().filter(|other| *other == 'i').or(Some('l')),
        Some(ascii) => Some(ascii),
        None => upper().or_else(lower),
    }
}

fn passes_for(c: char) -> Option<char> {
    let shape: String = skeleton(c.encode_utf8(&mut [0; 4])).collect();
    // The one letter that Unicode describes by two.
    let shape = if shape == "rn" { "m" } else { &shape };
    only(shape.chars()).filter(char::is_ascii)
}

fn only(mut characters: impl Iterator<Item = char>) -> Option<char> {
    characters.next().filter(|_| characters.next().is_none())
}

/// Strokes of these scripts resemble Latin letters too, but who writes them means them.
fn is_east_asian(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{9fff}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{20000}'..='\u{3ffff}')
}

/// Those that are no compatible form of ASCII's.
const ZEROS: [char; 67] = [
    '\u{660}',
    '\u{6f0}',
    '\u{7c0}',
    '\u{966}',
    '\u{9e6}',
    '\u{a66}',
    '\u{ae6}',
    '\u{b66}',
    '\u{be6}',
    '\u{c66}',
    '\u{ce6}',
    '\u{d66}',
    '\u{de6}',
    '\u{e50}',
    '\u{ed0}',
    '\u{f20}',
    '\u{1040}',
    '\u{1090}',
    '\u{17e0}',
    '\u{1810}',
    '\u{1946}',
    '\u{19d0}',
    '\u{1a80}',
    '\u{1a90}',
    '\u{1b50}',
    '\u{1bb0}',
    '\u{1c40}',
    '\u{1c50}',
    '\u{a620}',
    '\u{a8d0}',
    '\u{a900}',
    '\u{a9d0}',
    '\u{a9f0}',
    '\u{aa50}',
    '\u{abf0}',
    '\u{104a0}',
    '\u{10d30}',
    '\u{10d40}',
    '\u{11066}',
    '\u{110f0}',
    '\u{11136}',
    '\u{111d0}',
    '\u{112f0}',
    '\u{11450}',
    '\u{114d0}',
    '\u{11650}',
    '\u{116c0}',
    '\u{116d0}',
    '\u{116da}',
    '\u{11730}',
    '\u{118e0}',
    '\u{11950}',
    '\u{11bf0}',
    '\u{11c50}',
    '\u{11d50}',
    '\u{11da0}',
    '\u{11de0}',
    '\u{11f50}',
    '\u{16a60}',
    '\u{16ac0}',
    '\u{16b50}',
    '\u{16d70}',
    '\u{1e140}',
    '\u{1e2f0}',
    '\u{1e4f0}',
    '\u{1e5f1}',
    '\u{1e950}',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_alike_is_one() {
        for (seen, plain) in [
            ("Х", "x"),
            ("х", "x"),
            ("Χ", "x"),
            ("χ", "x"),
            ("×", "x"),
            ("ϲ Ϲ", "c c"),
            ("раураl", "paypal"),
            ("В в", "b b"),
            ("І і Ι ι I i", "i i i i i i"),
            ("ΝΑ", "na"),
            ("Ё ё Ë ë", "ë ë ë ë"),
            ("ѕаmрlе", "sample"),
            ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
            ("१२३", "123"),
            ("𝟎𝟙２", "012"),
            ("a\u{e0041}\u{fe0f}\u{34f}\u{3164}\u{ffa0}\u{115f}\u{17b4}\u{180b}b", "ab"),
        ] {
            assert_eq!(fold(seen), plain, "{seen}");
        }
    }

    #[test]
    fn what_does_not_stays_as_it_is() {
        for text in ["北京市海淀区〇一二丫丿路", "ハノイ", "한국어", "ж", "œ", "o0", "l1i"] {
            assert_eq!(fold(text), text, "{text}");
        }
        assert_eq!(fold("ВЫБОРГ"), fold("выборг"));
    }

    #[test]
    fn zeros_are_in_order_and_ten_apart() {
        assert!(ZEROS.windows(2).all(|pair| u32::from(pair[0]) + 10 <= u32::from(pair[1])));
    }
}
