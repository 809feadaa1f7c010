create table spending_cap (
  account_id text primary key references account (id),
  amount bigint not null,
  set_at bigint not null,
  stirred bigint not null,
  warned_month bigint,
  acting_at bigint,
  acted_at bigint
);

-- What is payable and billed, of accounts with a cap, by the first second of the month.
create table month_spending (
  account_id text not null references account (id),
  month bigint not null,
  payable bigint not null,
  primary key (account_id, month)
);
