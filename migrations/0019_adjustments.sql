-- What was given back of bill records, which stay as they are. Only ever added to.
create table adjustment (
  id text primary key,
  account_id text not null references account (id),
  -- of time or of traffic
  record_id text not null,
  at bigint not null,
  debt bigint not null,
  cash bigint not null,
  granted bigint not null,
  -- to a grant that was over
  expired bigint not null,
  open_since bigint not null,
  reason text not null,
  author text not null
);

create index adjustment_account on adjustment (account_id, id);

create index adjustment_record on adjustment (record_id);
