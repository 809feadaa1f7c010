create table trial_ending (
  account_id text primary key references account (id),
  choice text not null,
  ended_at bigint,
  ended_by text,
  expired bigint
);

create table trial_warning (
  account_id text not null references account (id),
  warning text not null,
  at bigint not null,
  primary key (account_id, warning)
);

-- Grants that were claimed before are looked after, too.
insert into alarm (kind, subject, due_at) select 'trial', account_id, 0 from trial_grant;
