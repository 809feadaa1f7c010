-- Coupons and cards. What was used, expired or revoked of one is in 1/(9×10¹²) of the currency; its face is in 10⁻⁸.
create table voucher (
  id text primary key,
  account_id text not null references account (id),
  kind text not null,
  face bigint not null,
  pays text not null,
  issued_at bigint not null,
  valid_from bigint not null,
  expires_at bigint,
  used bigint not null,
  expired bigint not null,
  revoked bigint not null,
  warned bigint not null,
  live bigint not null
);

create index voucher_account on voucher (account_id, id);

-- Those that may still pay something.
create index voucher_live on voucher (account_id, id) where live = 1;

-- What each paid of a record, in the same unit; since is the record's.
create table record_voucher (
  record_id text not null,
  voucher_id text not null references voucher (id),
  account_id text not null references account (id),
  since bigint not null,
  amount bigint not null,
  primary key (record_id, voucher_id)
);

create index record_voucher_account on record_voucher (account_id, since);

-- Of what is payable, what vouchers paid.
alter table bill_record add column vouchers bigint not null default 0;

alter table traffic_record add column vouchers bigint not null default 0;

alter table account add column voucher_total bigint not null default 0;

alter table account add column traffic_voucher_total text not null default '0';
