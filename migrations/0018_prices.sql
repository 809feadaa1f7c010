-- What things were sold by: only ever added to. A list that is entered replaces what was to come.
create table price (
  item text not null,
  entered_at bigint not null,
  since bigint not null,
  price bigint not null,
  entered_by text not null,
  primary key (item, entered_at, since)
);

-- Changes of price of which an account was told.
create table price_told (
  account_id text not null references account (id),
  item text not null,
  since bigint not null,
  price bigint not null,
  primary key (account_id, item, since, price)
);

-- Whose prices a span follows, of how many units, and its later prices that are known.
alter table span add column item text;
alter table span add column units bigint;
alter table span add column later text;

create index span_item on span (item, until) where item is not null;

-- The later prices of what leaves it.
alter table address add column later text;

-- Running totals as text: 64 bits end at 2.5 thousand million of the currency. Where one is null, the column of before holds it.
alter table account add column waived_total_exact text;
alter table account add column grant_total_exact text;
alter table account add column payable_total_exact text;
alter table account add column compute_total_exact text;
alter table account add column disk_total_exact text;
alter table account add column subscription_total_exact text;
alter table account add column voucher_total_exact text;
