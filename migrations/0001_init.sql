create table installation (
  id text primary key,
  epoch bigint not null,
  created_at bigint not null
);

create table account (
  id text primary key,
  name text not null,
  holder text,
  generation bigint not null,
  opened_at bigint not null,
  cash bigint not null,
  debt bigint not null,
  held bigint not null,
  waived_total bigint not null,
  grant_total bigint not null,
  payable_total bigint not null,
  compute_total bigint not null,
  disk_total bigint not null,
  ran bigint not null,
  close_at bigint
);

create index account_close on account (close_at) where close_at is not null;

create table api_key (
  id text primary key,
  hash text not null unique,
  account_id text references account (id),
  role text not null,
  created_at bigint not null
);

create table key_pair (
  id text primary key,
  account_id text not null references account (id),
  name text not null,
  public_key text not null,
  created_at bigint not null,
  unique (account_id, name)
);

create table trial_grant (
  account_id text primary key references account (id),
  holder text not null,
  claimed_at bigint not null,
  valid_until bigint not null,
  issued bigint not null,
  used bigint not null,
  hourly_cap bigint not null
);

create table host (
  id text primary key,
  name text not null unique,
  zone text not null,
  driver text not null,
  state text not null,
  sequence bigint not null,
  seen_at bigint not null
);

create table host_room (
  host_id text not null references host (id),
  resource text not null,
  capacity bigint not null,
  used bigint not null,
  claimed bigint not null,
  releasing bigint not null,
  primary key (host_id, resource)
);

create table instance (
  id text primary key,
  account_id text not null references account (id),
  name text not null,
  zone text not null,
  host_id text not null references host (id),
  flavor text not null,
  image text not null,
  key_pair_id text references key_pair (id),
  resources text not null,
  purchase text not null,
  disk_price bigint not null,
  created_at bigint not null,
  first_running bigint,
  end_announced bigint not null,
  generation bigint not null,
  state text not null,
  live bigint not null,
  due_at bigint,
  address text,
  notice_readable_at bigint,
  notice_read_at bigint
);

create index instance_account on instance (account_id, id);

create index instance_host on instance (host_id) where live = 1;

create index instance_due on instance (due_at, id) where due_at is not null;

create table user_data (
  instance_id text primary key references instance (id),
  content text not null
);

create table host_order (
  instance_id text primary key references instance (id),
  host_id text not null references host (id),
  sequence bigint not null
);

create index host_order_sequence on host_order (host_id, sequence);

create table quarantine (
  instance_id text primary key,
  host_id text not null references host (id),
  found_at bigint not null,
  observed text not null
);

create table span (
  id text primary key,
  account_id text not null references account (id),
  instance_id text not null references instance (id),
  meter text not null,
  price bigint not null,
  settled text not null,
  since bigint not null,
  until bigint not null
);

create index span_account on span (account_id, until);

create index span_instance on span (instance_id);

create table bill_record (
  id text primary key,
  account_id text not null references account (id),
  instance_id text not null references instance (id),
  span_id text not null references span (id),
  meter text not null,
  price bigint not null,
  since bigint not null,
  until bigint not null,
  waiver text,
  covered bigint not null,
  waived bigint not null,
  granted bigint not null,
  payable bigint not null,
  issued_at bigint not null,
  unique (span_id, since)
);

create index bill_record_account on bill_record (account_id, since);

create table entry (
  id text primary key,
  account_id text not null references account (id),
  at bigint not null,
  reason text not null,
  unique (account_id, reason)
);

create table posting (
  entry_id text not null references entry (id),
  place text not null,
  amount bigint not null,
  primary key (entry_id, place)
);

create table hold (
  instance_id text primary key references instance (id),
  account_id text not null references account (id),
  amount bigint not null
);

create table event (
  id text primary key,
  account_id text not null references account (id),
  instance_id text,
  at bigint not null,
  name text not null,
  body text not null
);

create index event_account on event (account_id, id);

create table decision (
  id text primary key,
  instance_id text not null references instance (id),
  at bigint not null,
  body text not null
);

create index decision_instance on decision (instance_id);

create table token (
  principal text not null,
  token text not null,
  request text not null,
  answer text not null,
  at bigint not null,
  primary key (principal, token)
);
