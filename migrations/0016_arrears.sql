-- The times in which an account owed: each from the settlement that left a debt to the top-up that paid it.
create table arrears (
  account_id text not null references account (id),
  -- Counts them, from 1.
  number bigint not null,
  since bigint not null,
  grace_until bigint not null,
  frozen_since bigint,
  -- What is frozen is released then.
  frozen_until bigint,
  released_at bigint,
  cleared_at bigint,
  -- Of the next step its owner was told so many days before, at the least.
  warned_days bigint,
  primary key (account_id, number)
);

-- An account has one at a time.
create unique index arrears_open on arrears (account_id) where cleared_at is null;

alter table instance add column frozen_since bigint;

-- Who owes already is in arrears since its newest settlement, with all of its grace.
insert into arrears (account_id, number, since, grace_until)
select a.id, 1, max(e.at), max(e.at) + 15 * 86400 from account a join entry e on e.account_id = a.id where a.debt > 0 group by a.id;

insert into alarm (kind, subject, due_at) select 'arrears', account_id, since * 1000000 from arrears;
