import { LogView } from "./log-view.tsx";

export const LogsScreen = () => <LogView isWhole />;
