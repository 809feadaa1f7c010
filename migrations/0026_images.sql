-- Images of accounts, whom they are shared with, and which hosts have copies of them.
create table image (
  id text primary key,
  account_id text not null references account (id),
  name text not null,
  origin text not null,
  created_at bigint not null,
  generation bigint not null,
  state text not null,
  live bigint not null
);

create index image_account on image (account_id, id);

create index image_importing on image (origin) where live = 1 and state like '{"state":"importing"%';

create table image_share (
  account_id text not null references account (id),
  image_id text not null references image (id),
  primary key (account_id, image_id)
);

create index image_share_image on image_share (image_id);

create table image_copy (
  image_id text not null references image (id),
  host_id text not null references host (id),
  generation bigint not null,
  state text not null,
  sequence bigint not null,
  primary key (image_id, host_id)
);

create index image_copy_host on image_copy (host_id, sequence);

create index image_copy_making on image_copy (image_id) where state = 'making';

create index instance_image on instance (image) where image >= 'img-' and image < 'img.';
