alter table account add column person text;

create index account_person on account (person) where person is not null;

create index instance_account_live on instance (account_id, id) where live = 1;

create index delivery_subscription_due on delivery (subscription_id, due_at) where due_at is not null;
