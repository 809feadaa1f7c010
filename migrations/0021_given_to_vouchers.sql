-- Of an adjustment, what came back to coupons and cards; turn: first to the one that had paid last. Only ever added to.
create table adjustment_voucher (
  adjustment_id text not null references adjustment (id),
  turn bigint not null,
  voucher_id text not null references voucher (id),
  account_id text not null references account (id),
  -- in the ledger's unit
  amount bigint not null,
  -- null: it may pay again; else how it was over before
  gone text,
  primary key (adjustment_id, turn)
);

create index adjustment_voucher_account on adjustment_voucher (account_id, adjustment_id);

-- Whole units of the currency beside what is payable of a month: 64 bits of exact units end at 2.5 thousand million of it.
alter table month_spending add column whole bigint not null default 0;
