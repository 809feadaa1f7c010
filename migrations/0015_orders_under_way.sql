-- Orders that did not run yet, which stand against a claim. They are few at any time, so they are looked through from here.
create index instance_under_way on instance (live) where live = 1 and first_running is null;

-- What the operator's word lifts. Those given before lift whatever a word can.
alter table appeal add column lifts text;

update appeal set lifts = 'trial-ran-before trial-other-holder-claimed trial-person-claimed trial-person-ran'
where decision = 'overruled';
