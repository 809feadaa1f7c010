create table reserve_taken (
  zone text not null,
  account_id text not null references account (id),
  at bigint not null,
  primary key (zone, account_id)
);
