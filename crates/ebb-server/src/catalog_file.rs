//! Can this catalog be used, and if not, where in the file is what is wrong with it?

use crate::clock::Clock;
use crate::serve::ServeError;
use ebb_engine::price_book::InThePast;
use ebb_model::catalog::Catalog;
use ebb_model::price_book::gaps;
use ebb_model::time::Second;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Each with its file, line and column.
#[derive(Debug, thiserror::Error)]
#[error("the catalog cannot be used:\n  {}", problems.join("\n  "))]
pub struct CatalogProblems {
    pub problems: Vec<String>,
}

/// The catalog that comes with Ebb.
pub fn sample_catalog() -> Catalog {
    CatalogFile::sample().catalog().expect("the catalog that comes with Ebb can be used")
}

/// Reads and checks a catalog.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load_catalog(path: &Path) -> Result<Catalog, ServeError> {
    Ok(CatalogFile::read(path)?.catalog()?)
}

/// The text of a catalog, and where it is from.
pub struct CatalogFile {
    path: PathBuf,
    text: String,
}

impl CatalogFile {
    /// The second in which a service would start now.
    pub fn now() -> Second {
        Clock::wall(None).now().second()
    }

    pub fn sample() -> CatalogFile {
        let text = include_str!("../../../catalog/sample.toml").to_owned();
        CatalogFile { path: PathBuf::from("catalog/sample.toml"), text }
    }

    /// # Errors
    /// There is no such file, or it cannot be read.
    pub fn read(path: &Path) -> Result<CatalogFile, ServeError> {
        let failed = |cause| ServeError::CatalogFile { path: path.to_owned(), cause };
        Ok(CatalogFile { text: std::fs::read_to_string(path).map_err(failed)?, path: path.to_owned() })
    }

    /// # Errors
    /// The first thing that is not understood, or all that is wrong with what is.
    pub fn catalog(&self) -> Result<Catalog, CatalogProblems> {
        let catalog: Catalog = toml::from_str(&self.text).map_err(|error| {
            let problem = self.at(error.span().map_or(0, |span| span.start), error.message());
            CatalogProblems { problems: vec![problem] }
        })?;
        self.found(catalog.problems())?;
        Ok(catalog)
    }

    /// The same, for a service that starts at this second.
    ///
    /// # Errors
    /// The same, or something has no price yet.
    pub fn catalog_at(&self, now: Second) -> Result<Catalog, CatalogProblems> {
        let catalog = self.catalog()?;
        self.found(gaps(&catalog, now))?;
        Ok(catalog)
    }

    /// What a start found, with the places in this file.
    pub fn locate(&self, error: ServeError) -> ServeError {
        match error {
            ServeError::Prices { problems } => {
                let problems = problems.iter().map(|problem| self.place(problem)).collect();
                ServeError::Catalog(CatalogProblems { problems })
            }
            other => other,
        }
    }

    fn found(&self, problems: Vec<String>) -> Result<(), CatalogProblems> {
        let problems: Vec<String> = problems.iter().map(|problem| self.place(problem)).collect();
        if problems.is_empty() { Ok(()) } else { Err(CatalogProblems { problems }) }
    }

    fn place(&self, problem: &str) -> String {
        let root = DeTable::parse(&self.text).expect("it was read before");
        self.at(place(root.get_ref(), problem).start, problem)
    }

    fn at(&self, offset: usize, problem: &str) -> String {
        let before = &self.text[..offset.min(self.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        format!("{}:{line}:{column}: {problem}", self.path.display())
    }
}

/// What is said of a price in the past, in the form of all problems.
pub(crate) fn said(wrong: &InThePast) -> String {
    let (table, key) = &wrong.place;
    format!("{table}: {key}: {}", wrong.refused)
}

/// A problem begins with the table that it is about, and the id of one of several; a key that it names after that is there.
fn place(root: &DeTable<'_>, problem: &str) -> Range<usize> {
    let (head, rest) = problem.split_once(": ").unwrap_or((problem, problem));
    let mut words = head.split_whitespace();
    let (names, id) = (words.next().unwrap_or_default(), words.next());
    let Some((mut span, mut value)) = find(Some(root), None, names.split('.')).filter(|_| !names.is_empty()) else {
        return 0..0;
    };
    if let (DeValue::Array(all), Some(id)) = (value, id) {
        let is = |one: &&toml::Spanned<DeValue<'_>>| {
            one.get_ref().get("id").and_then(|id| id.get_ref().as_str()) == Some(id)
        };
        // Of two with one id the later one is too many.
        if let Some(one) = all.iter().rev().find(is) {
            (span, value) = (one.span(), one.get_ref());
        }
    }
    let trim = |word: &'_ str| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '_' && c != ']').to_owned();
    let keys = rest.split_whitespace().map(trim);
    let named = keys.filter_map(|key| {
        let steps: Vec<&str> = key.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
        find(None, Some(value), steps.into_iter()).map(|(span, _)| span)
    });
    named.into_iter().next().unwrap_or(span)
}

/// As far as these steps lead, and at least one of them: keys, and places in lists.
fn find<'a, 'i>(
    root: Option<&'a DeTable<'i>>,
    value: Option<&'a DeValue<'i>>,
    steps: impl Iterator<Item = &'a str>,
) -> Option<(Range<usize>, &'a DeValue<'i>)> {
    let (mut table, mut value, mut span) = (root.or(value.and_then(DeValue::as_table)), value, None);
    for step in steps {
        let next = match (table, value, step.parse::<usize>()) {
            (_, Some(DeValue::Array(list)), Ok(at)) => list.get(at),
            (Some(table), ..) => table.iter().find(|(key, _)| key.get_ref() == step).map(|(_, value)| value),
            _ => None,
        };
        let Some(next) = next else { break };
        span = Some(next.span());
        (table, value) = (next.get_ref().as_table(), Some(next.get_ref()));
    }
    Some((span?, value?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of the sample, with one of its lines changed.
    fn with(was: &str, is: &str) -> (usize, Vec<String>) {
        let sample = CatalogFile::sample().text;
        let at = sample.find(was).unwrap_or_else(|| panic!("`{was}` is not in the sample"));
        let line = sample[..at].matches('\n').count() + 1;
        let file = CatalogFile { path: "my.toml".into(), text: sample.replacen(was, is, 1) };
        let found = file.catalog_at(Second::from_unix(1_772_413_200));
        (line, found.map_or_else(|wrong| wrong.problems, |_| vec![]))
    }

    #[test]
    fn each_thing_that_is_wrong_is_named_with_its_line() {
        let small = "id = \"t6.small.1\"\n";
        let spot = "spot = { prices = [\"0.07\"";
        // What is changed into what, how many lines below that it stands, and what is said.
        for (was, is, below, said) in [
            ("currency = \"CNY\"", "currency = \"RMB\"".to_owned(), 0, "currency `RMB` is no code of ISO 4217"),
            ("currency = \"CNY\"", "currency = \"cny\"".to_owned(), 0, "currency `cny` is no code of ISO 4217"),
            ("time_zone = \"Asia/Shanghai\"", "time_zone = \"Asia/Nowhere\"".to_owned(), 0, "`Asia/Nowhere` is not a time zone"),
            ("on_demand = \"0.08\"", "on_demand = \"-0.08\"".to_owned(), 0, "on_demand is -0.08, not from 0 to 1000000"),
            ("on_demand = \"0.08\"", "on_demand = \"1000000.01\"".to_owned(), 0, "not from 0 to 1000000"),
            ("on_demand = \"0.08\"", "on_demand = \"0.0000001\"".to_owned(), 0, "not a decimal number with at most 6 decimals"),
            ("on_demand = \"0.08\"", "on_demand = 0.08".to_owned(), 0, "a price in quotes"),
            ("on_demand = \"0.08\"", "on_demand = \"99999999999999999999\"".to_owned(), 0, "not a decimal number"),
            ("on_demand = \"0.08\"", "on_demand = []".to_owned(), 0, "there is no price in the list"),
            ("on_demand = \"0.08\"", "on_demand = [{ from = \"tomorrow\", price = \"1\" }]".to_owned(), 0, "`tomorrow` is not an instant"),
            ("on_demand = \"0.08\"", "on_demand = [{ price = \"1\" },\n{ from = \"2026-12-01T00:00:00.5Z\", price = \"2\" }]".to_owned(), 1, "is not a full second"),
            ("on_demand = \"0.08\"", "on_demand = [{ price = \"1\" },\n{ price = \"2\" }]".to_owned(), 1, "only the first price may be without `from`"),
            (
                "on_demand = \"0.08\"",
                "on_demand = [{ price = \"1\" },\n{ from = \"2026-12-02T00:00:00Z\", price = \"2\" },\n{ from = \"2026-12-01T00:00:00Z\", price = \"3\" }]".to_owned(),
                2,
                "flavor t6.small.1: on_demand[2]: 2026-12-01T00:00:00Z is not after the date before it",
            ),
            (
                "on_demand = \"0.08\"",
                "on_demand = [{ price = \"1\" },\n{ from = \"2026-12-01T00:00:00Z\", price = \"2\" },\n{ from = \"2026-12-01T08:00:00+08:00\", price = \"3\" }]".to_owned(),
                2,
                "is not after the date before it",
            ),
            (
                "on_demand = \"0.08\"",
                "on_demand = [\n{ from = \"2126-12-01T00:00:00Z\", price = \"2\" }]".to_owned(),
                0,
                "flavor t6.small.1: on_demand: it has no price before 2126-12-01T00:00:00Z",
            ),
            ("id = \"t6.large.1\"", "id = \"t6.small.1\"".to_owned(), 0, "flavor t6.small.1: id: two flavors share it"),
            ("price = \"0.0005\"", "price = \"-1\"".to_owned(), 0, "system_disk: price is -1.00, not from 0"),
            (
                "traffic = \"0.80\"",
                "traffic = [{ price = \"0.80\" },\n{ from = \"2026-12-01T00:30:00Z\", price = \"1\" }]".to_owned(),
                1,
                "region cn-beijing: traffic[1].from: traffic is counted by the clock hour",
            ),
            ("traffic = \"0.80\"", "traffic = \"1000.000001\"".to_owned(), 0, "traffic is 1000.000001, not from 0 to 1000.00"),
            (spot, "spot = { prices = [\"-0.07\"".to_owned(), 0, "flavor c6.large.2: spot.prices[0] is -0.07, not from 0"),
            (
                "0.12\"], max_periods = 4",
                "100000\"], max_periods = 10000".to_owned(),
                0,
                "a whole lease would cost more than 1000000000; sell fewer periods",
            ),
            ("instances_per_account = 1000", "instances_per_account = 31000000".to_owned(), 0, "cost an account more than 1000000 an hour"),
            ("notice_seconds = 300", "notice_seconds = -1".to_owned(), 0, "limits: notice_seconds = -1 is not from 0 to a year"),
            ("keep_days = 15", "keep_days = -1".to_owned(), 0, "limits.subscription: max_months is 1 to 60, keep_days 0 to 366"),
            (small, format!("{small}prize = 1\n"), 1, "unknown field `prize`"),
        ] {
            let (line, found) = with(was, &is);
            let first = found.iter().find(|problem| problem.contains(said));
            let first = first.unwrap_or_else(|| panic!("{is}: {said} is not among {found:#?}"));
            let at = first.strip_prefix("my.toml:").and_then(|rest| rest.split(':').next()?.parse().ok());
            // Of two keys that are named together the first one's line is told.
            assert!(at == Some(line + below) || said.contains("max_months"), "{is}: line {} expected\n{first}", line + below);
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_and_a_column_leads_to_it() {
        let text = CatalogFile::sample().text.replacen("gib = 40", "gib = 0", 1).replacen(
            "on_demand = \"0.39\"",
            "on_demand = \"-0.39\"",
            1,
        );
        let found = CatalogFile { path: "my.toml".into(), text }.catalog().unwrap_err().problems;
        assert!(found.len() >= 2, "{found:?}");
        let price = found.iter().find(|problem| problem.contains("on_demand is -0.39")).expect("the price");
        assert!(price.starts_with("my.toml:") && price.contains(":13: flavor c6.large.2"), "{price}");
    }

    #[test]
    fn a_price_of_the_past_is_told_with_its_line() {
        let file = CatalogFile::sample();
        let problems =
            vec!["flavor c6.large.2: on_demand: on-demand c6.large.2: 0.39 at 2026-03-02T00:00:00Z".to_owned()];
        let line = file.text[..file.text.find("on_demand = \"0.39\"").unwrap()].matches('\n').count() + 1;
        let located = file.locate(ServeError::Prices { problems }).to_string();
        assert!(
            located.contains(&format!("catalog/sample.toml:{line}:13: flavor c6.large.2: on_demand:")),
            "{located}"
        );
    }
}
