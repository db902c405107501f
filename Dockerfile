# The agent in a container. Build the package first: npm run build && docker build -t fairlead .
#
#   docker run -d --name fairlead --restart always --network host --pid host \
#     --cap-add NET_ADMIN \
#     -v /var/run/docker.sock:/var/run/docker.sock -v /:/host -v fairlead:/var/lib/fairlead fairlead
#
# The network of the host, since services reach the API on the gateway of theirs; the host's root folder, since the update
# locks of the services are there, and the system bus, the journal and the LED. NET_ADMIN is for the firewall and the
# proxy, which also need programs that are not in this image: RUN apt-get update && apt-get install -y iptables iproute2
# redsocks. Without them the agent says so, and does the rest. `docker exec fairlead /opt/fairlead/cli.js doctor` tells
# what it has found.
ARG NODE_IMAGE=node:24-slim
FROM ${NODE_IMAGE}
COPY dist /opt/fairlead
ENV FAIRLEAD_HOST_ROOT=/host FAIRLEAD_STATE_DIR=/var/lib/fairlead
VOLUME /var/lib/fairlead
EXPOSE 48484
HEALTHCHECK --start-period=10s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.FAIRLEAD_PORT || 48484}/v1/healthy`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/opt/fairlead/cli.js"]
CMD ["agent"]
