import { words } from "../words.ts";
import { useDevice } from "./context.ts";

/** A device without an application: the lines to try. */
export function EmptyDevice() {
  const { base } = useDevice();
  const t = words.value.empty;
  const address = location.host;
  // Through a cloud, what runs here comes from the fleet.
  if (base !== "/")
    return (
      <section class="empty">
        <h2>{t.ofFleet}</h2>
        <p>{t.fromFleet}</p>
      </section>
    );
  return (
    <section class="empty">
      <h2>{t.title}</h2>
      <p>{t.text}</p>
      <pre>
        <code>{`cat > docker-compose.yml <<'END'
services: { web: { image: "nginx:alpine", ports: ["80:80"] } }
END
BALENA_SUPERVISOR_ADDRESS=http://${address} fairlead up`}</code>
      </pre>
      <p>
        {t.or} <a href={`#${base}target`}>{t.editor}</a>
      </p>
    </section>
  );
}
