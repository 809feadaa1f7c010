alter table instance add column has_room bigint not null default 1;

update instance set has_room = 0 where state like '{"state":"waiting"%';

alter table instance add column in_use_since bigint;

update instance set in_use_since = first_running;
