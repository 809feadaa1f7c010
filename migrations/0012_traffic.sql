-- Public addresses, with how far their counters were read, and the month's running total of closed hours.
create table address (
  id text primary key,
  account_id text not null references account (id),
  region text not null,
  overseas bigint not null,
  price bigint not null,
  instance_id text references instance (id),
  allocated_at bigint not null,
  released_at bigint,
  epoch bigint,
  bytes bigint,
  read_at bigint,
  month bigint not null,
  month_bytes bigint not null
);

create index address_account on address (account_id, id);

create index address_instance on address (instance_id) where instance_id is not null;

-- Bytes that were read of hours that are not closed: before a grant's validity, within it and after it.
create table traffic (
  address_id text not null references address (id),
  account_id text not null references account (id),
  since bigint not null,
  until bigint not null,
  coverage bigint not null,
  bytes bigint not null,
  primary key (address_id, since, coverage)
);

create index traffic_account on traffic (account_id, until);

create table traffic_record (
  id text primary key,
  account_id text not null references account (id),
  address_id text not null references address (id),
  price bigint not null,
  since bigint not null,
  until bigint not null,
  quantity bigint not null,
  anywhere bigint not null,
  overseas bigint not null,
  issued_at bigint not null,
  unique (address_id, since)
);

create index traffic_record_account on traffic_record (account_id, since);

-- What closed hours used of a month's pools.
create table traffic_pool (
  account_id text not null references account (id),
  month bigint not null,
  anywhere bigint not null,
  overseas bigint not null,
  primary key (account_id, month)
);

-- Exact totals of traffic are finer than a bigint holds for long.
alter table account add column traffic_pools_total text not null default '0';

alter table account add column traffic_payable_total text not null default '0';

alter table host add column metered_traffic bigint not null default 0;
