# The agent in a container. Build the package first: npm run build && docker build -t fairlead .
# Without a network: npm run build && sh packaging/image.sh
#
#   docker run -d --name fairlead --restart always --network host \
#     --read-only --tmpfs /run --memory 512m --pids-limit 256 \
#     --security-opt no-new-privileges --cap-drop ALL \
#     --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add SYS_CHROOT \
#     --cap-add NET_ADMIN --cap-add NET_RAW --cap-add SETUID --cap-add SETGID --cap-add KILL \
#     -v /var/run/docker.sock:/var/run/docker.sock -v /:/host fairlead
#
# The network of the host, since services reach the API on the gateway of theirs; the host's root folder, since the update
# locks, configs and secrets of the services are there, and the system bus, the journal and the LED. The state is in the host's
# /var/lib/fairlead. Of the capabilities, the first three are for
# update locks in folders that services own, SYS_CHROOT is for the host's journalctl, and the last line for the firewall and
# the proxy. Those also need programs that are not in this image: RUN apt-get update && apt-get install -y iptables iproute2
# redsocks. Without them the agent says so, and does the rest. Nothing needs --pid host. A GPIO line (LED_GPIO) needs gpiod
# in the image, and --device /dev/gpiochip0.
# `docker exec fairlead /opt/fairlead/cli.js doctor` tells what it has found.
ARG NODE_IMAGE=node:24-slim
FROM ${NODE_IMAGE}
COPY dist /opt/fairlead
ENV FAIRLEAD_HOST_ROOT=/host FAIRLEAD_STATE_DIR=/host/var/lib/fairlead
EXPOSE 48484
HEALTHCHECK --start-period=10s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.FAIRLEAD_PORT || 48484}/v1/healthy`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/opt/fairlead/cli.js"]
CMD ["agent"]
