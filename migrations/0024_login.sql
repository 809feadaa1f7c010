-- The hash of a root password that its owner set; it goes with the instance.
create table password (
  instance_id text primary key references instance (id),
  hash text not null
);

-- How often the system disk was made anew.
alter table instance add column disk_revision bigint not null default 0;
