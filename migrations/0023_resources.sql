-- What is used and charged is an instance, or a disk, a snapshot or an address of its own: usage and records name it by its id.
alter table span add column resource_id text not null default '';

update span set resource_id = instance_id;

drop index span_instance;

alter table span drop column instance_id;

create index span_resource on span (resource_id);

alter table bill_record add column resource_id text not null default '';

update bill_record set resource_id = instance_id;

alter table bill_record drop column instance_id;

alter table account add column data_disk_total_exact text not null default '0';

alter table account add column snapshot_total_exact text not null default '0';

alter table account add column bandwidth_total_exact text not null default '0';
