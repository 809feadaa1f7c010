-- What an installation counts in and whose days it keeps. Neither changes: two currencies never meet, and bills are cut by local days.
alter table installation add column currency text;
alter table installation add column time_zone text;

-- Whether the cap that acts stops trials, too: decided once, with the second at which it acts.
alter table spending_cap add column acting_on_trials bigint;

-- What vouchers paid of a record, in whole units of the currency, beside the rest: 64 bits of the exact unit end at nine millions.
alter table traffic_record add column vouchers_whole bigint not null default 0;
