alter table account add column closed_at bigint;

alter table trial_grant add column revoked bigint not null default 0;

-- All accounts of one real user, as soon as there are two. Claims of its accounts and unions with others meet at its generation.
create table person (
  id text primary key references account (id),
  size bigint not null,
  claimed_as text,
  generation bigint not null
);

insert into person (id, size, claimed_as, generation)
select a.person, count(*),
  (select min(g.holder) from trial_grant g join account other on other.id = g.account_id where other.person = a.person), 1
from account a where a.person is not null group by a.person;

create index account_person_ran on account (person) where ran = 1 and person is not null;

-- The keys under which evidence is hashed lie outside the database; this is which ones, and in which order they wrap.
create table evidence_key (
  number bigint primary key,
  fingerprint text not null,
  made_at bigint not null,
  -- counts what was learned under it; of two that learn at once one decides anew
  turn bigint not null
);

create table evidence (
  id text primary key,
  kind text not null,
  -- of what was seen, under the keys 1 to key_number, each wrapping what those before it made
  hash text not null unique,
  key_number bigint not null
);

create index evidence_wrap on evidence (key_number, id);

-- An account was seen with it.
create table sighting (
  evidence_id text not null references evidence (id),
  account_id text not null references account (id),
  seen_at bigint not null,
  source text not null,
  primary key (evidence_id, account_id)
);

create index sighting_account on sighting (account_id, evidence_id);

create table verification (
  -- of the reference, which its account is shown once
  reference_hash text primary key,
  account_id text not null references account (id),
  asked_at bigint not null,
  expires_at bigint not null,
  settled_at bigint,
  outcome text
);

create index verification_account on verification (account_id) where settled_at is null;

create table appeal (
  id text primary key,
  account_id text not null references account (id),
  made_at bigint not null,
  -- null where the operator overruled without being asked
  words text,
  decided_at bigint,
  decided_by text,
  decision text,
  reason text,
  used_at bigint
);

create index appeal_account on appeal (account_id, id);

create index appeal_waiting on appeal (id) where decided_at is null;
