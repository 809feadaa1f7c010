create table drill (
  id text primary key,
  account_id text not null references account (id),
  schedule_id text,
  asked_at bigint not null,
  ask text not null
);

create index drill_account on drill (account_id, id);

create table drill_part (
  drill_id text not null references drill (id),
  instance_id text not null references instance (id),
  account_id text not null references account (id),
  asked_at bigint not null,
  refusal text,
  free_seconds bigint not null,
  stopped_at bigint,
  approved_at bigint,
  primary key (drill_id, instance_id)
);

create unique index drill_part_taken on drill_part (instance_id) where refusal is null;

create index drill_part_account on drill_part (account_id, asked_at) where refusal is null;

create table drill_minute (
  minute bigint primary key,
  taken bigint not null
);

create table drill_schedule (
  id text primary key,
  account_id text not null references account (id),
  created_at bigint not null,
  ask text not null,
  every_seconds bigint not null,
  week text,
  next_at bigint not null,
  ended_at bigint
);

create index drill_schedule_account on drill_schedule (account_id, id);
