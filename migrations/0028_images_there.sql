-- The operator's images that it has; null: all of the catalog.
alter table host add column images text;
