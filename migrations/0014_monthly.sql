alter table account add column subscription_total bigint not null default 0;

-- Of what is paid in advance: so many months at a price per month; null: seconds at a price per hour.
alter table bill_record add column months bigint;

-- Seconds from here on, once they are settled, end a hold.
alter table hold add column since bigint not null default 0;
