-- Data disks and snapshots: what they are, what their hosts are told of them, and what is on a host and in no table.
create table volume (
    id text primary key,
    account_id text not null references account (id),
    name text not null,
    region text not null,
    zone text not null,
    host_id text not null references host (id),
    gib bigint not null,
    made_of text not null,
    created_at bigint not null,
    tags text not null,
    bought_with text,
    charged_since bigint,
    unavailable_since bigint,
    generation bigint not null,
    state text not null,
    instance_id text,
    live bigint not null
);

create index volume_account on volume (account_id, live);

create index volume_host on volume (host_id, live);

create index volume_instance on volume (instance_id);

create table volume_order (
    volume_id text primary key references volume (id),
    host_id text not null,
    sequence bigint not null
);

create index volume_order_host on volume_order (host_id, sequence);

create table volume_quarantine (
    volume_id text primary key,
    host_id text not null,
    found_at bigint not null,
    observed text not null
);

alter table host add column has_volumes bigint not null default 0;
