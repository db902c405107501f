"""Eleven calls with the client that openapi-generator makes for Python. What was answered is printed as JSON."""

import json
import sys
import time

from fairlead_api import ApiClient, ApiException, Configuration, DeviceApi, V2Api, V3Api

configuration = Configuration(host=sys.argv[1])
configuration.access_token = "a key"
client = ApiClient(configuration)
device, v2, v3 = DeviceApi(client), V2Api(client), V3Api(client)

service = {"serviceName": "web", "imageId": 1, "image": "web:1", "environment": {}, "labels": {}}
app = {"name": "garden", "commit": "c1", "releaseId": 1, "services": {"1": service}}

ping = device.ping()
version = v2.version()
target = v2.set_target_state(request_body={"local": {"name": "porch", "config": {}, "apps": {"7": app}}})
while v2.state_status().app_state != "applied":
    time.sleep(0.05)
stopped = v2.stop_service(7, stop_service_body={"serviceName": "web"})
lock = v3.take_lock({"appId": 7, "ttl": 60, "reason": "a test"})
locks = v3.locks()
v3.release_lock(lock.id)
problems = v3.problems()
name = v2.device_name()
try:
    v3.update_state(8)
    refused = None
except ApiException as error:
    refused = json.loads(error.body)["type"]

print(
    json.dumps(
        {
            "ping": ping,
            "version": version.version,
            "target": target.message,
            "locks": len(locks.locks),
            "problems": problems.problems,
            "name": name.device_name,
            "refused": refused,
        }
    )
)
