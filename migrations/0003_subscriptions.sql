create table subscription (
  id text primary key,
  account_id text not null references account (id),
  kind text not null,
  address text not null,
  -- '' is all; else the names with a comma before and after each
  topics text not null,
  state text not null,
  -- of the secret, which is nowhere: it is derived from a key outside the database
  secret_hash text not null,
  created_at bigint not null,
  confirmed_at bigint,
  -- since when nothing was accepted
  failing_since bigint,
  paused_because text
);

create index subscription_account on subscription (account_id, id);

-- It refers to no subscription: whoever deletes one must not spoil the work of others that add to it.
create table delivery (
  subscription_id text not null,
  event_id text not null,
  kind text not null,
  at bigint not null,
  attempts bigint not null,
  due_at bigint,
  tried_at bigint,
  last_error text,
  accepted_at bigint,
  given_up_at bigint,
  primary key (subscription_id, event_id)
);

create index delivery_due on delivery (due_at, subscription_id) where due_at is not null;

create index delivery_at on delivery (at);
