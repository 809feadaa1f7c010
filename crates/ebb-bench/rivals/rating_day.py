"""Rates a day of events with DuckDB or Polars, and prints the check line, the CPU seconds and the peak memory in MiB.

usage: rating_day.py prepare|duckdb|polars DIRECTORY

Money is in 1/36,000,000 of the currency: seconds times a price per hour with four decimals. `prepare` turns the CSV into Parquet.
"""

import resource
import sys

CAP = 29_988_000  # 0.833 an hour
CENT = 360_000
DAY = 86_400


def prepare(directory):
    import duckdb

    for name in ("events", "accounts", "prices"):
        duckdb.sql(f"copy (from read_csv('{directory}/{name}.csv')) to '{directory}/{name}.parquet'")
    return [0] * 9


def by_duckdb(directory):
    import duckdb

    db = duckdb.connect()
    db.sql("set threads = 2")
    db.sql("set preserve_insertion_order = false")
    db.sql(f"""
        create table record as
        with event as (from '{directory}/events.parquet'),
        life as (
            select instance_id,
                max(account_id) filter (kind = 0) as account_id, max(flavor) filter (kind = 0) as flavor,
                max(region) filter (kind = 0) as region, max(market) filter (kind = 0) = 1 as block,
                max(duration_h) filter (kind = 0) as hours, max(ts) filter (kind = 0) as created,
                max(ts) filter (kind = 1) as stopped, max(ts) filter (kind = 2) as started,
                max(ts) filter (kind >= 3) as ended, max(kind) filter (kind >= 3) as how
            from event group by instance_id),
        span as (
            select *, created since, case when block then ended else least(stopped, coalesce(ended, {DAY}), {DAY}) end until
            from life where not block or ended is not null
            union all
            select *, started, least(coalesce(ended, {DAY}), {DAY}) from life where not block and started is not null),
        hourly as (
            select instance_id, account_id, flavor, region, block, hours, created, ended, how,
                hour, least(until, hour * 3600 + 3600) - greatest(since, hour * 3600) secs
            from (select *, unnest(range(since // 3600, (until - 1) // 3600 + 1)) as hour from span where since < until)),
        priced as (
            select instance_id, any_value(account_id) account_id, hour::int as hour, sum(secs)::bigint secs,
                any_value(block) block, (sum(secs) * any_value(price_e4))::bigint gross,
                any_value(block and how = 5 and ended < created + hours * 3600) free
            from hourly join '{directory}/prices.parquet' price
                on price.flavor = hourly.flavor and price.region = hourly.region
                and price.class = case when not block then 0 when hours < 6 then 1 else 2 end
            group by instance_id, hour),
        capped as (
            select priced.*, balance_units, trial = 1 and not block as covered,
                sum(case when trial = 1 and not block then gross else 0 end)
                    over (partition by account_id, hour order by instance_id rows unbounded preceding) drawn
            from priced join '{directory}/accounts.parquet' using (account_id)),
        paid as (
            select *, case when covered then least(drawn, {CAP}) - least(drawn - gross, {CAP}) else 0 end wanted from capped),
        summed as (
            select *, sum(wanted) over (partition by account_id order by hour, instance_id rows unbounded preceding) so_far from paid)
        select instance_id, account_id, hour, secs, case when free then 0 else gross end::bigint charge,
            case when free then gross else 0 end::bigint waived,
            (least(so_far, balance_units) - least(so_far - wanted, balance_units))::bigint credit,
            charge - credit payable
        from summed""")
    db.sql("""
        create table posting as
        select account_id, hour, sum(charge) charge, sum(credit) credit, sum(payable) payable from record group by all""")
    whole = db.sql("""
        select count(*), sum(secs), sum(charge), sum(waived), sum(credit), sum(payable),
            sum((instance_id % 1009 * 24 + hour + 1)::hugeint * (payable % 1000003)) from record""").fetchall()[0]
    cents = db.sql(f"""
        select sum((payable + {CENT // 2}) // {CENT}) from
        (select sum(payable) payable from record group by account_id)""").fetchall()[0][0]
    postings = db.sql("select count(*) from posting").fetchall()[0][0]
    return [*whole[:6], cents, postings, whole[6]]


def by_polars(directory):
    import polars as pl

    def parquet(name):
        return pl.scan_parquet(f"{directory}/{name}.parquet")

    def first(column, kind):
        return pl.col(column).filter(kind).first()

    kind = pl.col("kind")
    life = parquet("events").group_by("instance_id").agg(
        *(first(column, kind == 0) for column in ("account_id", "flavor", "region", "market")),
        first("duration_h", kind == 0).alias("hours"), first("ts", kind == 0).alias("created"),
        first("ts", kind == 1).alias("stopped"), first("ts", kind == 2).alias("started"),
        first("ts", kind >= 3).alias("ended"), first("kind", kind >= 3).alias("how"),
    ).with_columns((pl.col("market") == 1).alias("block"))
    until = pl.col("ended").fill_null(DAY).clip(upper_bound=DAY)
    block = pl.col("block")
    spans = pl.concat([
        life.filter(~block | pl.col("ended").is_not_null()).with_columns(
            since="created", until=pl.when(block).then("ended").otherwise(pl.min_horizontal("stopped", until))),
        life.filter(~block & pl.col("started").is_not_null()).with_columns(since="started", until=until),
    ]).filter(pl.col("since") < pl.col("until"))
    hourly = spans.with_columns(
        hour=pl.int_ranges(pl.col("since") // 3600, (pl.col("until") - 1) // 3600 + 1)).explode("hour")
    secs = pl.min_horizontal("until", pl.col("hour") * 3600 + 3600) - pl.max_horizontal("since", pl.col("hour") * 3600)
    short = pl.when(pl.col("hours") < 6).then(1).otherwise(2)
    priced = hourly.with_columns(
        secs=secs, **{"class": pl.when(~block).then(0).otherwise(short).cast(pl.Int64)},
    ).join(parquet("prices"), on=["flavor", "region", "class"]).with_columns(
        gross=pl.col("secs") * pl.col("price_e4"),
        free=block & (pl.col("how") == 5) & (pl.col("ended") < pl.col("created") + pl.col("hours") * 3600),
    ).group_by("instance_id", "hour").agg(
        pl.col("account_id").first(), pl.col("secs").sum(), pl.col("gross").sum(), block.first(), pl.col("free").first())
    ordered = priced.join(parquet("accounts"), on="account_id").sort("account_id", "hour", "instance_id")
    covered = (pl.col("trial") == 1) & ~block
    drawn = pl.when(covered).then("gross").otherwise(0).cum_sum().over("account_id", "hour")
    within = lambda column, most: pl.min_horizontal(column, most)
    record = ordered.with_columns(drawn=drawn).with_columns(
        wanted=pl.when(covered).then(
            within("drawn", pl.lit(CAP)) - within(pl.col("drawn") - pl.col("gross"), pl.lit(CAP))).otherwise(0),
    ).with_columns(so_far=pl.col("wanted").cum_sum().over("account_id")).with_columns(
        credit=within("so_far", "balance_units") - within(pl.col("so_far") - pl.col("wanted"), "balance_units"),
        charge=pl.when("free").then(0).otherwise("gross"), waived=pl.when("free").then("gross").otherwise(0),
    ).with_columns(payable=pl.col("charge") - pl.col("credit")).select(
        "instance_id", "account_id", "hour", "secs", "charge", "waived", "credit", "payable",
    ).collect(engine="streaming")
    posting = record.group_by("account_id", "hour").agg(pl.col("charge", "credit", "payable").sum())
    whole = record.select("secs", "charge", "waived", "credit", "payable").sum().row(0)
    bill = record.group_by("account_id").agg(pl.col("payable").sum())
    cents = bill.select(((pl.col("payable") + CENT // 2) // CENT).sum()).item()
    mix = record.select(((pl.col("instance_id") % 1009 * 24 + pl.col("hour") + 1) * (pl.col("payable") % 1_000_003)).sum())
    return [len(record), *whole, cents, len(posting), mix.item()]


def main():
    how, directory = sys.argv[1:]
    found = {"prepare": prepare, "duckdb": by_duckdb, "polars": by_polars}[how](directory)
    names = ("n", "secs", "charge", "waived", "credit", "payable", "fen", "postings", "mix")
    print("CHECK", *(f"{name}={int(value)}" for name, value in zip(names, found)))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(int(found[0]), f"{used.ru_utime + used.ru_stime:.3f}", f"{used.ru_maxrss / 1024:.1f}")


main()
