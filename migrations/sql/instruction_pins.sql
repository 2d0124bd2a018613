-- Where an instruction was sent, as its rail calls that: what was created on one platform is asked about there alone. And
-- whether something happened that makes the question worth asking now, beside its schedule.
ALTER TABLE instructions ADD COLUMN platform text, ADD COLUMN hinted boolean NOT NULL DEFAULT false;
GRANT UPDATE (platform, hinted) ON instructions TO daftari_app;
