alter table account add column person text;

create index account_person on account (person) where person is not null;
