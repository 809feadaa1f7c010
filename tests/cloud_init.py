#!/usr/bin/env python3
"""Does cloud-init's own code find in a guest's metadata what it looks for?

    PYTHONPATH=.../dist-packages tests/cloud_init.py http://127.0.0.1:PORT/guest/i-...

Prints as JSON what its readers for OpenStack, EC2 and Google make of the same guest.
"""

import json
import sys
from unittest import mock

from cloudinit import helpers, url_helper
from cloudinit.sources import DataSourceEc2, DataSourceGCE
from cloudinit.sources.helpers import openstack


def open_stack(base):
    found = openstack.MetadataReader(base, timeout=5, retries=0).read_v2()
    return {
        "instance-id": found["metadata"]["instance-id"],
        "hostname": found["metadata"]["local-hostname"],
        "keys": found["metadata"]["public_keys"],
        "user-data": found["userdata"].decode(),
        "version": found["version"],
    }


def ec2(base):
    told = {"datasource": {"Ec2": {"metadata_urls": [base]}}}
    source = DataSourceEc2.DataSourceEc2(told, None, helpers.Paths({"cloud_dir": "/nowhere", "run_dir": "/nowhere"}))
    # It believes to be on AWS by the machine's firmware; there it takes nothing without a token.
    with mock.patch.object(DataSourceEc2.DataSourceEc2, "cloud_name", DataSourceEc2.CloudNames.AWS):
        if not source._get_data():
            raise SystemExit("cloud-init finds no EC2 metadata")
        return {
            "instance-id": source.get_instance_id(),
            "hostname": source.metadata["local-hostname"],
            "keys": source.get_public_ssh_keys(),
            "user-data": source.userdata_raw.decode(),
            "zone": source.availability_zone,
            "region": source.region,
            "token": bool(source._api_token),
        }


def google(base):
    params = mock.Mock(num_retries=0, sec_between_retries=0)
    found = DataSourceGCE.read_md(base + "/computeMetadata/v1/", params, platform_check=False)
    if not found["success"]:
        raise SystemExit(found["reason"])
    return {
        "instance-id": found["meta-data"]["instance-id"],
        "hostname": found["meta-data"]["local-hostname"],
        "keys": found["meta-data"]["public-keys-data"],
        "user-data": found["user-data"].decode(),
        "zone": found["meta-data"]["availability-zone"],
    }


def main():
    base = sys.argv[1]
    # A refusal is final here; waiting and asking again would only hide it.
    with mock.patch.object(url_helper.time, "sleep"):
        print(json.dumps({"openstack": open_stack(base), "ec2": ec2(base), "google": google(base)}))


if __name__ == "__main__":
    main()
