//! Are the six bill samples of the spot-block document played to the digit?

use super::stage::{Customer, Stage};
use crate::failure::Failure;
use crate::session::print;
use crate::table::Table;
use ebb_model::money::{Amount, Exact, Price};
use ebb_model::time::Timestamp;
use ebb_wire::bill::{Bill, Record};
use ebb_wire::instance::{Buy, Instance};
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use serde::Serialize;

const FLAVOR: &str = "c6.large.2";
const START: &str = "08:58:30";

/// A table of the document.
struct Sample {
    table: u8,
    hours: i64,
    ending: Ending,
    /// Its lines as printed there: the clock hour, the seconds, the charge.
    document: &'static [(&'static str, i64, &'static str)],
}

#[derive(Clone, Copy)]
enum Ending {
    Natural {
        at: &'static str,
    },
    Deleted {
        at: &'static str,
    },
    /// Asked for a notice ahead, so that the release falls on `at`.
    Reclaimed {
        asked: &'static str,
        at: &'static str,
    },
}

const SAMPLES: [Sample; 6] = [
    Sample {
        table: 1,
        hours: 3,
        ending: Ending::Natural { at: "11:58:30" },
        document: &[
            ("08:58:30-09:00:00", 90, "90/3600*0.07"),
            ("09:00:00-10:00:00", 3600, "0.07"),
            ("10:00:00-11:00:00", 3600, "0.07"),
            ("11:00:00-11:58:30", 3510, "3510/3600*0.07"),
        ],
    },
    Sample {
        table: 2,
        hours: 3,
        ending: Ending::Deleted { at: "10:28:30" },
        document: &[
            ("08:58:30-09:00:00", 90, "90/3600*0.07"),
            ("09:00:00-10:00:00", 3600, "0.07"),
            ("10:00:00-10:28:30", 1710, "1710/3600*0.07"),
        ],
    },
    Sample {
        table: 3,
        hours: 3,
        ending: Ending::Reclaimed { asked: "10:23:30", at: "10:28:30" },
        document: &[("08:58:30-09:00:00", 90, "0"), ("09:00:00-10:00:00", 3600, "0"), ("10:00:00-10:28:30", 1710, "0")],
    },
    Sample {
        table: 4,
        hours: 6,
        ending: Ending::Natural { at: "14:58:30" },
        document: &[
            ("08:58:30-09:00:00", 90, "90/3600*0.12"),
            ("09:00:00-10:00:00", 3600, "0.12"),
            ("10:00:00-11:00:00", 3600, "0.12"),
            ("11:00:00-12:00:00", 3600, "0.12"),
            ("12:00:00-13:00:00", 3600, "0.12"),
            ("13:00:00-14:00:00", 3600, "0.12"),
            ("14:00:00-14:58:30", 3510, "3510/3600*0.12"),
        ],
    },
    Sample {
        table: 5,
        hours: 6,
        ending: Ending::Deleted { at: "13:28:30" },
        document: &[
            ("08:58:30-09:00:00", 90, "90/3600*0.12"),
            ("09:00:00-10:00:00", 3600, "0.12"),
            ("10:00:00-11:00:00", 3600, "0.12"),
            ("11:00:00-12:00:00", 3600, "0.12"),
            ("12:00:00-13:00:00", 3600, "0.12"),
            ("13:00:00-13:28:30", 1710, "1710/3600*0.12"),
        ],
    },
    Sample {
        table: 6,
        hours: 6,
        ending: Ending::Reclaimed { asked: "13:23:30", at: "13:28:30" },
        document: &[
            ("08:58:30-09:00:00", 90, "0"),
            ("09:00:00-10:00:00", 3600, "0"),
            ("10:00:00-11:00:00", 3600, "0"),
            ("11:00:00-12:00:00", 3600, "0"),
            ("12:00:00-13:00:00", 3600, "0"),
            ("13:00:00-13:28:30", 1710, "0"),
        ],
    },
];

/// A table as the service billed it.
#[derive(Serialize)]
struct Played {
    table: u8,
    records: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    since: String,
    until: String,
    seconds: i64,
    price: String,
    amount: String,
}

/// Plays all six on one day, prints the bills, and refuses to be content with any difference.
pub async fn play(stage: &Stage, json: bool) -> Result<(), Failure> {
    let day = Day::first_after(stage.now().await?, &stage.catalog.time_zone)?;
    stage.advance_to(day.at(START)).await?;
    let customer = stage.customer("Samples", "individual", "100.00").await?;
    let mut bought = vec![];
    for sample in &SAMPLES {
        let instance: Instance = customer.client.post("/v1/instances", &order(stage, sample.hours)).await?;
        bought.push(instance.id);
    }
    act(stage, &customer, &day, &bought).await?;

    let bill: Bill = customer.client.get("/v1/bills", &[]).await?;
    let mine = |id: &str| bill.records.iter().filter(|r| r.resource == id && r.meter == "compute").collect::<Vec<_>>();
    let played: Vec<Played> = SAMPLES.iter().zip(&bought).map(|(s, id)| day.table(s, &mine(id))).collect();
    if json {
        print(&(serde_json::to_string_pretty(&played).expect("plain values") + "\n"))?;
    } else {
        print(&SAMPLES.iter().zip(&played).map(|(sample, played)| text(sample, played)).collect::<String>())?;
    }
    let wrong = SAMPLES.iter().zip(&played).find_map(|(sample, played)| difference(sample, played));
    match wrong {
        Some(wrong) => Err(Failure::Outcome(wrong)),
        None if json => Ok(()),
        None => print("All six tables agree with the document to the digit.\n"),
    }
}

fn order(stage: &Stage, hours: i64) -> Buy {
    Buy {
        option: "spot-block".to_owned(),
        zone: stage.catalog.zones.first().map(|zone| zone.id.clone()).unwrap_or_default(),
        flavor: FLAVOR.to_owned(),
        hours: Some(hours),
        ..Buy::default()
    }
}

/// Lets the day pass: each sample's ending at its own second.
async fn act(stage: &Stage, customer: &Customer, day: &Day, bought: &[String]) -> Result<(), Failure> {
    let mut acts: Vec<(&str, &Sample, &String)> = SAMPLES
        .iter()
        .zip(bought)
        .map(|(sample, id)| match sample.ending {
            Ending::Natural { at } | Ending::Deleted { at } => (at, sample, id),
            Ending::Reclaimed { asked, .. } => (asked, sample, id),
        })
        .collect();
    acts.sort_by_key(|(at, ..)| *at);
    for (at, sample, id) in acts {
        stage.advance_to(day.at(at)).await?;
        let path = format!("/v1/instances/{id}");
        match sample.ending {
            Ending::Natural { .. } => {}
            Ending::Deleted { .. } => drop(customer.client.delete::<Instance>(&path).await?),
            Ending::Reclaimed { .. } => drop(stage.operator.ask::<Instance>(&format!("{path}/reclaim")).await?),
        }
    }
    stage.advance_to(day.at("15:00:00")).await
}

/// The local day on which the samples are played.
struct Day {
    noon: jiff::Zoned,
}

impl Day {
    fn first_after(now: Timestamp, zone: &str) -> Result<Self, Failure> {
        let zone =
            TimeZone::get(zone).map_err(|error| Failure::Outcome(format!("the catalog's time zone: {error}")))?;
        let local = jiff::Timestamp::from_microsecond(now.micros()).expect("a clock's instant").to_zoned(zone);
        let today = Day { noon: local.clone() };
        let noon = if today.at(START) >= now { local } else { local.tomorrow().expect("a day after this one") };
        Ok(Day { noon })
    }

    fn at(&self, time: &str) -> Timestamp {
        let time: Time = time.parse().expect("a time of day");
        let at = DateTime::from_parts(self.noon.date(), time).to_zoned(self.noon.time_zone().clone());
        Timestamp::from_micros(at.expect("a time of an ordinary day").timestamp().as_microsecond())
    }

    fn table(&self, sample: &Sample, records: &[&Record]) -> Played {
        let line = |record: &&Record| Line {
            since: self.local(&record.since),
            until: self.local(&record.until),
            seconds: record.seconds,
            price: record.price.clone(),
            amount: record.amount.clone(),
        };
        Played { table: sample.table, records: records.iter().map(line).collect() }
    }

    /// `2026-03-01T08:58:30+08:00`: the document's time of day can be seen in it.
    fn local(&self, at: &str) -> String {
        let zoned = at.parse::<jiff::Timestamp>().map(|at| at.to_zoned(self.noon.time_zone().clone()));
        zoned.map_or_else(|_| at.to_owned(), |at| at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
    }
}

fn time_of_day(at: &str) -> &str {
    at.get(11..19).unwrap_or(at)
}

fn text(sample: &Sample, played: &Played) -> String {
    let mut table = Table::new(&["SINCE", "UNTIL", "SECONDS>", "PRICE>", "AMOUNT>", "THE DOCUMENT SAYS"]);
    let printed = sample.document.iter().map(|(hour, seconds, charge)| format!("{hour}  {seconds}  {charge}"));
    for (line, document) in played.records.iter().zip(printed.chain(std::iter::repeat(String::new()))) {
        table.row([
            time_of_day(&line.since).to_owned(),
            time_of_day(&line.until).to_owned(),
            line.seconds.to_string(),
            line.price.clone(),
            line.amount.clone(),
            document,
        ]);
    }
    let ending = match sample.ending {
        Ending::Natural { at } => format!("it ends by itself at {at}"),
        Ending::Deleted { at } => format!("deleted by its user at {at}"),
        Ending::Reclaimed { asked, at } => format!("taken back at {at} (notice at {asked})"),
    };
    let head = format!("Table {}: {FLAVOR} for {} hours from {START}, {ending}", sample.table, sample.hours);
    format!("{head}\n{}\n", table.text("No records."))
}

/// The first line in which the service and the document differ, in words.
fn difference(sample: &Sample, played: &Played) -> Option<String> {
    let count = sample.document.len();
    if played.records.len() != count {
        let lines = played.records.len();
        return Some(format!("table {}: the document has {count} lines, the service {lines}", sample.table));
    }
    let lines = sample.document.iter().zip(&played.records).enumerate();
    lines.into_iter().find_map(|(at, ((hour, seconds, charge), line))| {
        let shown = format!("{}-{}", time_of_day(&line.since), time_of_day(&line.until));
        let amount = line.amount.parse::<Amount>().ok().map(Amount::exact);
        let unit_price = if sample.hours < 6 { "0.07" } else { "0.12" };
        let same = shown == *hour && line.seconds == *seconds && amount == meant(charge) && line.price == unit_price;
        (!same).then(|| {
            let service = format!("{shown} {} s at {}: {}", line.seconds, line.price, line.amount);
            format!(
                "table {}, line {}: the document has {hour} {seconds} s: {charge}, the service {service}",
                sample.table,
                at + 1
            )
        })
    })
}

/// The exact value of what the document prints: `0`, `0.07` or `90/3600*0.07`.
fn meant(charge: &str) -> Option<Exact> {
    let (seconds, price) = match charge.split_once("/3600*") {
        Some((seconds, price)) => (seconds.parse().ok()?, price),
        None => (3_600, charge),
    };
    Some(price.parse::<Price>().ok()?.charge(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_read_as_it_is_meant() {
        assert_eq!(meant("90/3600*0.07").unwrap().to_string(), "0.00175000");
        assert_eq!(meant("0.12").unwrap().to_string(), "0.12000000");
        assert_eq!(meant("0"), Some(Exact::ZERO));
        for sample in &SAMPLES {
            let seconds: i64 = sample.document.iter().map(|(_, seconds, _)| seconds).sum();
            let end = match sample.ending {
                Ending::Natural { at } | Ending::Deleted { at } | Ending::Reclaimed { at, .. } => at,
            };
            let time = |text: &str| text.parse::<Time>().unwrap();
            assert_eq!((time(end) - time(START)).total(jiff::Unit::Second).unwrap() as i64, seconds);
        }
    }
}
