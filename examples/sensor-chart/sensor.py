import datetime, json, math, random, sys, time
import paho.mqtt.client as mqtt

room, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1883
device = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"sensor-{room}")
device.connect("127.0.0.1", port)
device.loop_start()

def send(at):
    celsius = 20 + len(room) / 4 + 1.5 * math.sin(at / 400 + len(room)) + random.gauss(0, 0.2)
    moment = datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = json.dumps({"measured": moment, "celsius": round(celsius, 2)})
    return device.publish(f"home/{room}/temperature", message, qos=1)

now = time.time()
for sent in [send(now - age) for age in range(1800, 0, -15)]:  # what it measured while it had no network
    sent.wait_for_publish()
while True:
    send(time.time())
    time.sleep(1)
