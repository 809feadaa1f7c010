-- The row that says which installation this database belongs to. `epoch` rises with each restore,
-- so that a host which has seen a later life of the installation can tell that time went back.
create table installation (
    id text primary key,
    epoch bigint not null,
    created_at bigint not null
);
