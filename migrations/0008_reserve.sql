create table reserve_taken (
  zone text not null,
  account_id text not null references account (id),
  at bigint not null,
  primary key (zone, account_id)
);

alter table decision_victim add column cause text;

update decision_victim set cause = (select case when i.state like '%"cause":"own-order"%' then 'own-order' else d.cause end
  from instance i, decision d where i.id = decision_victim.instance_id and d.id = decision_victim.decision_id);
