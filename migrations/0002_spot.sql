alter table instance add column tags text not null default '{}';
alter table instance add column keep text not null default '{"data_disks":true,"public_ip":true}';
alter table instance add column took_room bigint not null default 0;

update instance set took_room = 1 where live = 1 and state like '%"caused_notice":true%';

create index instance_taking on instance (account_id, created_at) where took_room = 1;

create table alarm (
  kind text not null,
  subject text not null,
  due_at bigint not null,
  primary key (kind, subject)
);

create index alarm_due on alarm (due_at, kind, subject);
