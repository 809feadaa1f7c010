//! Can this catalog be used, and if not, where in the file is what is wrong with it?

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
        if let Some(one) = all.iter().find(is) {
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
            (_, Some(DeValue::Array(list)), Ok(at)) => list.iter().nth(at),
            (Some(table), ..) => table.iter().find(|(key, _)| key.get_ref() == step).map(|(_, value)| value),
            _ => None,
        };
        let Some(next) = next else { break };
        span = Some(next.span());
        (table, value) = (next.get_ref().as_table(), Some(next.get_ref()));
    }
    Some((span?, value?))
}
