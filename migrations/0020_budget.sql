create table budget (
  account_id text primary key references account (id),
  amount bigint not null,
  -- Percentages, as a JSON list.
  alerts text not null,
  expected bigint not null,
  set_at bigint not null
);

-- What was told of a month: a percentage, or `expected`.
create table budget_told (
  account_id text not null references account (id),
  month bigint not null,
  what text not null,
  at bigint not null,
  primary key (account_id, month, what)
);

-- What was paid in advance in a month is found without looking through all of its records.
create index bill_record_in_advance on bill_record (account_id, issued_at) where meter = 'subscription';
