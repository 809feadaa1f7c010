create table shortage (
  zone text primary key,
  free text not null,
  at bigint not null,
  urgent bigint not null,
  declared_at bigint not null,
  noticed_at bigint
);

create table notice (
  instance_id text not null references instance (id),
  notice_at bigint not null,
  cause text not null,
  deadline bigint not null,
  decided_at bigint not null,
  committed_at bigint,
  readable_at bigint,
  read_at bigint,
  primary key (instance_id, notice_at)
);

create index notice_decided on notice (decided_at);

create table block (
  instance_id text primary key references instance (id),
  account_id text not null references account (id),
  zone text not null,
  flavor text not null,
  hours bigint not null,
  bought_at bigint not null,
  gone_at bigint,
  cause text,
  late bigint,
  seconds bigint not null default 0,
  waived_seconds bigint not null default 0,
  waived bigint not null default 0,
  payable bigint not null default 0
);

insert into block (instance_id, account_id, zone, flavor, hours, bought_at)
select id, account_id, zone, flavor,
  case when purchase like '%"hours":1,%' then 1 when purchase like '%"hours":2,%' then 2
    when purchase like '%"hours":3,%' then 3 when purchase like '%"hours":4,%' then 4
    when purchase like '%"hours":5,%' then 5 else 6 end,
  created_at
from instance where purchase like '%"spot-block"%';

update block set
  gone_at = coalesce((select max(r.issued_at) * 1000000 from bill_record r
    where r.account_id = block.account_id and r.instance_id = block.instance_id and r.meter = 'compute'), bought_at),
  cause = (select case when i.state like '%"cause":"lease-end"%' then 'lease-end'
    when i.state like '%"cause":"deleted"%' then 'deleted' when i.state like '%"cause":"capacity"%' then 'capacity'
    when i.state like '%"cause":"operator"%' then 'operator' when i.state like '%"cause":"own-order"%' then 'own-order'
    when i.state like '%"cause":"drain"%' then 'drain' when i.state like '%"cause":"host-return"%' then 'host-return'
    when i.state like '%"cause":"drill"%' then 'drill' when i.state like '%"cause":"breach"%' then 'breach'
    when i.state like '%"cause":"lost"%' then 'lost' else 'never-ran' end
    from instance i where i.id = block.instance_id),
  seconds = coalesce((select cast(sum(r.until - r.since) as bigint) from bill_record r
    where r.account_id = block.account_id and r.instance_id = block.instance_id and r.meter = 'compute'), 0),
  waived_seconds = coalesce((select cast(sum(r.until - r.since) as bigint) from bill_record r
    where r.account_id = block.account_id and r.instance_id = block.instance_id and r.meter = 'compute' and r.waived > 0), 0),
  waived = coalesce((select cast(sum(r.waived) as bigint) from bill_record r
    where r.account_id = block.account_id and r.instance_id = block.instance_id and r.meter = 'compute'), 0),
  payable = coalesce((select cast(sum(r.payable) as bigint) from bill_record r
    where r.account_id = block.account_id and r.instance_id = block.instance_id and r.meter = 'compute'), 0)
where instance_id in (select id from instance where live = 0);

create index block_bought on block (bought_at);

create index block_gone on block (gone_at) where gone_at is not null;

create index block_account on block (account_id, instance_id);

alter table decision rename to decision_before;

create table decision (
  id text primary key,
  zone text not null,
  cause text not null,
  instance_id text,
  at bigint not null,
  body text not null
);

insert into decision (id, zone, cause, instance_id, at, body)
select d.id, i.zone, 'capacity', d.instance_id, d.at, d.body
from decision_before d join instance i on i.id = d.instance_id;

drop table decision_before;

create index decision_order on decision (instance_id);

create table decision_victim (
  instance_id text not null references instance (id),
  decision_id text not null references decision (id),
  rank bigint not null,
  candidates bigint not null,
  primary key (instance_id, decision_id)
);

create index decision_victims on decision_victim (decision_id);
