alter table host add column lending text not null default '{}';

create table host_event (
  id text primary key,
  host_id text not null references host (id),
  at bigint not null,
  who text not null,
  body text not null
);

create index host_event_host on host_event (host_id, id);
