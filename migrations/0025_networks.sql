-- Who has an address of a region, private or public, and who had it a short while ago: then nobody else gets it yet.
create table ip (
  -- `private REGION` or `public REGION`
  pool text not null,
  -- its 32 bits
  address bigint not null,
  -- an instance, or a public address
  holder text not null,
  -- null: the holder has it
  freed_at bigint,
  primary key (pool, address)
);

create unique index ip_holder on ip (holder) where freed_at is null;

-- The private network of an account in a region, by its number between hosts.
create table network (
  account_id text not null references account (id),
  region text not null,
  number bigint not null,
  primary key (account_id, region)
);

create unique index network_number on network (region, number);

-- Where an instance stands in its network; null: it is older than networks are.
alter table instance add column place text;

-- null: the default one of its account
alter table instance add column security_groups text;

-- An account's default group has no row before it is changed.
create table security_group (
  id text primary key,
  account_id text not null references account (id),
  name text not null,
  rules text not null,
  generation bigint not null,
  created_at bigint not null,
  unique (account_id, name)
);

-- its 32 bits; null: it is older than addresses that were given
alter table address add column ip bigint;

-- What it is paid by: so many Mbit/s, or null: what leaves it. Since when is said by its spans.
alter table address add column mbit bigint;
-- of one that is released: its bandwidth was charged up to here
alter table address add column charged_until bigint;
-- the instance with which it was allocated, while it leads there
alter table address add column bought_with text;

create index address_held on address (account_id) where released_at is null;

-- who had an address a short while ago has it again first
create index address_gone on address (account_id, released_at) where released_at is not null;

-- Where other hosts of its region reach it; null: it carries no networks on.
alter table host add column tunnel text;
